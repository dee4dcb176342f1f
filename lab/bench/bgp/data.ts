/**
 * Real tables and streams: MRT dumps and a list of prefixes with their origins, read as routes that one external peer may announce to any of
 * the devices. What some of them would not pass on by their rules is left out and counted.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readMrt } from '../../../bgp/capture/mrt.ts';
import { DEFAULT_VERDICT_CONTEXT } from '../../../bgp/wire/verdict.ts';
import { type Family, formatAddress } from '../../../src/net/address.ts';
import { parsePrefix } from '../../../src/net/prefix.ts';
import { asNumbersOf, plainSet, setFromRun } from './attributes.ts';
import { LastRoutes, type RouteTable, SetStore } from './routes.ts';
import { eachNlri, type FamilyRange, partsOf, UPDATE } from './wire.ts';

/** The files, by what they are used for. */
export const DATA_FILES = {
  oneTable: 'ris-rib-2002-07-22.mrt.gz',
  origins: 'routeviews-prefix-origin-2015-11-01.tsv.gz',
  manyPeers: 'routeviews-rib-2014-05-23-part.mrt.gz',
  streams: ['ris-updates-2016-08-11.mrt.gz', 'ibgp-updates-2015.mrt.gz'],
} as const;

/** Where such tables come from, for whoever has none. */
export const DATA_SOURCES =
  'tables and updates in MRT are published by RIPE RIS (https://ris.ripe.net/docs/mrt) and Route Views (https://archive.routeviews.org)';

/** What reading gave. */
export interface ReadTable {
  readonly table: RouteTable;
  /** by reason */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** Numbers that must not occur in a path: the device or a peer of the harness would refuse it as a loop (RFC 4271 section 9.1.2). */
export type OwnNumbers = readonly number[];

/** The octets of a file in the folder that `--data` names, uncompressed. Throws when it is not there, with what to do. */
export function readData(folder: string | undefined, name: string): Buffer {
  if (folder === undefined) throw new Error(`it needs --data FOLDER with ${name}: ${DATA_SOURCES}`);
  const path = join(folder, name);
  if (!existsSync(path)) throw new Error(`--data ${folder}: ${name} is not there: ${DATA_SOURCES}`);
  const octets = readFileSync(path);
  return name.endsWith('.gz') ? gunzipSync(octets) : octets;
}

/** Collects usable routes, and counts the others. */
class Collector {
  readonly leftOut = new Map<string, number>();
  readonly sets = new SetStore();
  readonly #own: ReadonlySet<number>;
  readonly #known = new Map<string, number>();

  constructor(own: OwnNumbers) {
    this.#own = new Set(own);
  }

  leave(reason: string, count = 1): void {
    this.leftOut.set(reason, (this.leftOut.get(reason) ?? 0) + count);
  }

  /** The set number of the attributes of a message; undefined, counted, when they cannot be used. */
  setOf(message: Uint8Array, from: number, to: number, hasAs4: boolean): number | undefined {
    const key = `${hasAs4}${Buffer.from(message.subarray(from, to)).toString('latin1')}`;
    let id = this.#known.get(key);
    if (id === undefined) {
      const set = setFromRun(message.subarray(from, to), hasAs4);
      if (typeof set === 'string') this.leave(set);
      else if (asNumbersOf(set).some((as) => this.#own.has(as))) this.leave('our own AS in the AS_PATH');
      else id = this.sets.intern(set);
      if (id === undefined) return undefined;
      this.#known.set(key, id);
    }
    return id;
  }

  /** Prefix ids of some NLRI, those that are global unicast. */
  prefixes(message: Uint8Array, { family, from, to }: FamilyRange, routes: LastRoutes): number[] {
    const ids: number[] = [];
    eachNlri(message, from, to, false, (length, _pathId, w0, w1, w2, w3) => {
      if (isGlobalUnicast(family, length, w0)) ids.push(routes.prefixes.intern(length, w0, w1, w2, w3));
      else this.leave('not global unicast');
    });
    return ids;
  }
}

/** Whether every device passes such a prefix on: 1.0.0.0 to 223.255.255.255 without loopback and link-local ones, or 2000::/3. */
export function isGlobalUnicast(family: Family, length: number, word: number): boolean {
  if (family === 'ipv6') return length >= 3 && word >>> 29 === 1;
  const first = word >>> 24;
  return length >= 8 && first >= 1 && first <= 223 && first !== 127 && word >>> 16 !== 0xa9fe;
}

/** The largest table of one peer in an MRT table dump, at most `limit` prefixes of it, and that peer's AS. Paths that do not begin with it are left out. */
export function readLargestPeer(
  file: Uint8Array,
  own: OwnNumbers,
  limit: number,
): ReadTable & { readonly peerAs: number } {
  const counts = new Map<string, number>();
  for (const item of readMrt(file, DEFAULT_VERDICT_CONTEXT)) {
    if (item.kind !== 'message' || item.from === undefined) continue;
    const peer = formatAddress(item.from.address);
    counts.set(peer, (counts.get(peer) ?? 0) + 1);
  }
  const [largest] = [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), ['', 0]);
  const collector = new Collector(own);
  const routes = new LastRoutes('ipv4');
  let peerAs = 0;
  for (const item of readMrt(file, DEFAULT_VERDICT_CONTEXT)) {
    if (routes.count >= limit) break;
    if (item.kind !== 'message' || item.from === undefined) continue;
    if (formatAddress(item.from.address) !== largest) continue;
    peerAs = item.context.peerAs;
    const parts = partsOf(item.message, 0);
    const id = collector.setOf(item.message, parts.attributesAt, parts.attributesEnd, item.context.as4);
    const set = id === undefined ? undefined : collector.sets.sets[id];
    if (id === undefined || set === undefined) continue;
    if (set.path[0]?.asNumbers[0] !== peerAs)
      collector.leave("a path that does not begin with the peer's AS");
    else
      for (const range of parts.announced)
        if (range.family === 'ipv4')
          for (const prefix of collector.prefixes(item.message, range, routes)) routes.set(prefix, 0, id);
  }
  return { table: routes.table(collector.sets.sets, false), leftOut: collector.leftOut, peerAs };
}

/** All IPv4 paths of an MRT table dump of several peers, at most `limit`: path identifiers are the peers' places in their order of appearance, from 1 on. */
export function readAllPaths(file: Uint8Array, own: OwnNumbers, limit: number): ReadTable {
  const collector = new Collector(own);
  const routes = new LastRoutes('ipv4');
  const peers = new Map<string, number>();
  for (const item of readMrt(file, DEFAULT_VERDICT_CONTEXT)) {
    if (routes.count >= limit) break;
    if (item.kind !== 'message' || item.from === undefined) continue;
    const peer = formatAddress(item.from.address);
    const pathId = peers.get(peer) ?? peers.size + 1;
    peers.set(peer, pathId);
    const parts = partsOf(item.message, 0);
    const id = collector.setOf(item.message, parts.attributesAt, parts.attributesEnd, item.context.as4);
    if (id === undefined) continue;
    for (const range of parts.announced)
      if (range.family === 'ipv4')
        for (const prefix of collector.prefixes(item.message, range, routes)) routes.set(prefix, pathId, id);
  }
  return { table: routes.table(collector.sets.sets, true), leftOut: collector.leftOut };
}

/** Lines `PREFIX<tab>ORIGIN`, `;` before comments, as tables of both families, at most `limit` prefixes in each; the paths are made from the origin by `pathTo`. */
export function readOrigins(
  text: string,
  own: OwnNumbers,
  limit: number,
): { readonly tables: readonly RouteTable[]; readonly leftOut: ReadonlyMap<string, number> } {
  const collector = new Collector(own);
  const routes = { ipv4: new LastRoutes('ipv4'), ipv6: new LastRoutes('ipv6') };
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith(';')) continue;
    if (routes[line.includes(':') ? 'ipv6' : 'ipv4'].count >= limit) continue;
    const [prefixText = '', originText = ''] = line.split('\t');
    const prefix = parsePrefix(prefixText);
    const origin = Number(originText);
    if (prefix === undefined || !Number.isInteger(origin) || origin <= 0 || own.includes(origin)) {
      collector.leave('no prefix with an origin');
      continue;
    }
    const { family } = prefix;
    const target = routes[family];
    const id = target.prefixes.internPrefix(prefix);
    if (isGlobalUnicast(family, target.prefixes.lengthOf(id), target.prefixes.wordOf(id, 0)))
      target.set(id, 0, collector.sets.intern(plainSet(pathTo(origin))));
    else collector.leave('not global unicast');
  }
  const { sets } = collector.sets;
  return {
    tables: [routes.ipv4.table(sets, false), routes.ipv6.table(sets, false)],
    leftOut: collector.leftOut,
  };
}

/** Two or three hops to an origin, always the same ones. */
export function pathTo(origin: number): readonly number[] {
  const hash = Math.imul(origin, 0x9e37_79b1) >>> 0;
  const transit = 1000 + (hash % 200);
  return hash & 0x1000 ? [transit, origin] : [transit, 2000 + ((hash >>> 16) % 3000), origin];
}

/** What one UPDATE of a stream does in one family. Prefixes by their id in `routes` of the stream's model. */
export interface Change {
  readonly family: Family;
  readonly withdrawn: readonly number[];
  readonly announced: readonly number[];
  /** of the announced ones */
  readonly set: number;
}

/** A stream of changes. `prefixes` gives the ids their meaning, `sets` the set numbers. */
export interface Stream {
  readonly changes: readonly Change[];
  readonly routes: Readonly<Record<Family, LastRoutes>>;
  readonly sets: SetStore;
  readonly leftOut: ReadonlyMap<string, number>;
}

/** The UPDATEs of MRT files of messages, one file after the other, at most `limit` of each. The `routes` are empty: nothing is applied yet. */
export function readStreams(files: readonly Uint8Array[], own: OwnNumbers, limit: number): Stream {
  const collector = new Collector(own);
  const routes = { ipv4: new LastRoutes('ipv4'), ipv6: new LastRoutes('ipv6') };
  const changes: Change[] = [];
  for (const file of files) {
    let updates = 0;
    for (const item of readMrt(file, DEFAULT_VERDICT_CONTEXT)) {
      if (updates >= limit) break;
      if (item.kind !== 'message' || item.message[18] !== UPDATE) continue;
      updates++;
      const parts = partsOf(item.message, 0);
      const isAnnouncing = parts.announced.length > 0;
      const set = isAnnouncing
        ? collector.setOf(item.message, parts.attributesAt, parts.attributesEnd, item.context.as4)
        : undefined;
      for (const family of ['ipv4', 'ipv6'] as const) {
        const ids = (ranges: readonly FamilyRange[]): number[] =>
          ranges
            .filter((range) => range.family === family)
            .flatMap((range) => collector.prefixes(item.message, range, routes[family]));
        const withdrawn = ids(parts.withdrawn);
        const announced = set === undefined ? [] : ids(parts.announced);
        if (withdrawn.length + announced.length > 0)
          changes.push({ family, withdrawn, announced, set: set ?? 0 });
      }
    }
  }
  return { changes, routes, sets: collector.sets, leftOut: collector.leftOut };
}

/** Looking into the RIB: paths as people see them, made one prefix at a time while somebody reads. Changes nothing. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import { maskWord } from '../../src/net/prefix-table.ts';
import type { DecisionReason, PathView } from '../types.ts';
import { decodeAttributes } from '../wire/attribute-key.ts';
import type { PathAttributes } from '../wire/types.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { CONFLICT, unusableReason } from './import-group.ts';
import { LOCAL_PEER, type RibPeer } from './peers.ts';
import type { RouteConflict, RouteQuery } from './rib-types.ts';

/** Reader of all tables. */
export class RibInspector {
  readonly #tables: RibTables;
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #peers: ReadonlyMap<number, RibPeer>;
  readonly #timeOf: (tick: number) => number;

  constructor(
    tables: RibTables,
    families: Readonly<Record<Family, FamilyRib>>,
    peers: ReadonlyMap<number, RibPeer>,
    timeOf: (tick: number) => number,
  ) {
    this.#tables = tables;
    this.#families = families;
    this.#peers = peers;
    this.#timeOf = timeOf;
  }

  *routes(query: RouteQuery): IterableIterator<PathView> {
    const rib = this.#families[query.family];
    if (query.prefix !== undefined) {
      const id = this.#lookUp(rib, query.prefix, query);
      if (id >= 0) yield* this.#viewsOf(rib, id, query);
      return;
    }
    const isWanted = withinTest(rib, query.within);
    for (let id = 0; id < rib.prefixes.idLimit; id++) {
      if (rib.prefixes.has(id) && isWanted(id)) yield* this.#viewsOf(rib, id, query);
    }
  }

  *advertised(peer: RibPeer, family: Family): IterableIterator<PathView> {
    const rib = this.#families[family];
    for (const { prefix, pathId, attribute } of peer.addPath[family]?.sentPaths() ?? []) {
      const record = pathId - 1;
      yield {
        prefix: rib.prefixes.prefixOf(prefix),
        source: this.#sourceOf(rib.paths.peerOf(record)),
        pathId,
        attributes: this.#decoded(attribute),
        best: rib.bestPeer[prefix] === rib.paths.peerOf(record),
        multipath: false,
        stale: false,
        receivedAt: this.#timeOf(rib.paths.tick[record] ?? 0),
      };
    }
    for (let id = 0; id < rib.prefixes.idLimit; id++) {
      // The session may end, and another begin, while somebody reads.
      const output = peer.output[family];
      if (output === undefined) return;
      if (!output.wasSent(id)) continue;
      const form = output.group.desired(output, id);
      if (form < 0) continue;
      const source = rib.bestPeer[id] ?? LOCAL_PEER;
      yield {
        prefix: rib.prefixes.prefixOf(id),
        source: this.#sourceOf(source),
        attributes: this.#decoded(form),
        best: true,
        multipath: false,
        stale: false,
        receivedAt: this.#bestArrival(rib, id, source),
      };
    }
  }

  /** Names of the peers that have been told of a prefix. */
  advertisedTo(prefix: Prefix): string[] {
    const { family } = prefix;
    const rib = this.#families[family];
    const id = rib.prefixes.findPrefix(prefix);
    if (id < 0) return [];
    return [...this.#peers.values()]
      .filter(({ output, addPath }) => {
        const one = output[family];
        return one === undefined ? (addPath[family]?.hasSent(id) ?? false) : one.wasSent(id);
      })
      .map(({ config }) => config.name);
  }

  conflicts(limit: number): RouteConflict[] {
    const found: RouteConflict[] = [];
    for (const family of FAMILIES) {
      const rib = this.#families[family];
      for (const peer of this.#peers.values()) {
        let cursor = 0;
        for (;;) {
          const record = rib.paths.nextRecordOf(peer.id, cursor);
          if (record < 0) break;
          cursor = rib.paths.walked;
          if (rib.paths.effective[record] !== CONFLICT) continue;
          if (found.length >= limit) return found;
          found.push(this.#conflictOf(rib, peer, record));
        }
      }
    }
    return found;
  }

  #conflictOf(rib: FamilyRib, peer: RibPeer, record: number): RouteConflict {
    const attributes = decodeAttributes(this.#tables.attributes.key(rib.paths.attribute[record] ?? -1));
    return {
      prefix: rib.prefixes.prefixOf(rib.paths.prefix[record] ?? -1),
      peer: peer.config.name,
      rule: this.#policyNote(rib, record) ?? '',
      asPath: attributes.asPath.flatMap((segment) => segment.asNumbers),
    };
  }

  #lookUp(rib: FamilyRib, prefix: Prefix, query: RouteQuery): number {
    if (query.longestMatch !== true) return rib.prefixes.findPrefix(prefix);
    const view = new DataView(prefix.bytes.buffer, prefix.bytes.byteOffset, prefix.bytes.length);
    const word = (index: number): number => (4 * index < prefix.bytes.length ? view.getInt32(4 * index) : 0);
    return rib.prefixes.longestMatch(
      prefix.length,
      word(0),
      word(1),
      word(2),
      word(3),
      (id) => this.#viewsOf(rib, id, query).length > 0,
    );
  }

  /** All views of a prefix at once: between two of a generator's steps records may change owner. */
  #viewsOf(rib: FamilyRib, prefix: number, query: RouteQuery): PathView[] {
    const views: PathView[] = [];
    const { paths } = rib;
    let reasons: ReadonlyMap<number, DecisionReason> | undefined;
    let chosen: ReadonlySet<number> = new Set();
    let best = -1;
    for (let record = paths.head[prefix] ?? -1; record >= 0; record = paths.next[record] ?? -1) {
      const peer = paths.peerOf(record);
      if (query.peer !== undefined && query.peer !== peer) continue;
      if (query.received === true ? peer === LOCAL_PEER : (paths.effective[record] ?? -1) < 0) continue;
      if (reasons === undefined) {
        reasons = rib.decision.explain(rib.collect(prefix));
        best = rib.decision.run(rib.collect(prefix));
        chosen = new Set(rib.decision.multipath.subarray(0, rib.decision.multipathCount));
      }
      views.push(this.#view(rib, record, query.received === true, reasons.get(record), best, chosen));
    }
    return views;
  }

  #view(
    rib: FamilyRib,
    record: number,
    received: boolean,
    reason: DecisionReason | undefined,
    best: number,
    chosen: ReadonlySet<number>,
  ): PathView {
    const { paths } = rib;
    const peer = paths.peerOf(record);
    const effective = paths.effective[record] ?? -1;
    const attribute = received || effective < 0 ? (paths.attribute[record] ?? -1) : effective;
    const pathId = paths.pathIdOf(record);
    const unusable = unusableReason(effective) ?? this.#nextHopProblem(peer, effective);
    const prefix = paths.prefix[record] ?? -1;
    const policyNote = effective < 0 || received ? this.#policyNote(rib, record) : undefined;
    return {
      prefix: rib.prefixes.prefixOf(prefix),
      source: this.#sourceOf(peer),
      ...(pathId !== 0 ? { pathId } : {}),
      attributes: this.#decoded(attribute),
      best: record === best,
      multipath: record !== best && chosen.has(record),
      stale: peer !== LOCAL_PEER && this.#isStale(rib, peer, record),
      ...(unusable !== undefined ? { unusable } : {}),
      ...(policyNote !== undefined ? { policyNote } : {}),
      ...(reason !== undefined ? { reason } : {}),
      ...(record === best && rib.heldBack?.[prefix] === 1 ? { awaitsFib: true } : {}),
      receivedAt: this.#timeOf(paths.tick[record] ?? 0),
    };
  }

  /** Attributes for people: a link-local next hop with its interface. */
  #decoded(attribute: number): PathAttributes {
    const decoded = decodeAttributes(this.#tables.attributes.key(attribute));
    if (decoded.nextHop === undefined) return decoded;
    return { ...decoded, nextHop: this.#tables.nextHops.unscoped(decoded.nextHop) };
  }

  #isStale(rib: FamilyRib, peer: number, record: number): boolean {
    return this.#peers.get(peer)?.input[rib.family].generation !== rib.paths.generation[record];
  }

  #nextHopProblem(peer: number, effective: number): 'next-hop-self' | 'next-hop-unresolved' | undefined {
    if (peer === LOCAL_PEER) return undefined;
    const { attributes, nextHops } = this.#tables;
    const nextHop = attributes.nextHop[effective] ?? -1;
    if (nextHops.usable[nextHop] === 1) return undefined;
    return nextHops.isOwn(nextHop) ? 'next-hop-self' : 'next-hop-unresolved';
  }

  #policyNote(rib: FamilyRib, record: number): string | undefined {
    const { paths, prefixes } = rib;
    const prefix = paths.prefix[record] ?? -1;
    const wide = rib.family === 'ipv6';
    return this.#peers
      .get(paths.peerOf(record))
      ?.importGroup.describe(
        rib.family,
        prefixes.lengthOf(prefix),
        prefixes.wordOf(prefix, 0),
        wide ? prefixes.wordOf(prefix, 1) : 0,
        wide ? prefixes.wordOf(prefix, 2) : 0,
        wide ? prefixes.wordOf(prefix, 3) : 0,
        paths.attribute[record] ?? -1,
      );
  }

  #sourceOf(peer: number): PathView['source'] {
    if (peer === LOCAL_PEER) return { kind: 'local' };
    return {
      kind: 'peer',
      peer: this.#peers.get(peer)?.config.name ?? '?',
      routerId: this.#tables.peers.routerId[peer] ?? 0,
    };
  }

  #bestArrival(rib: FamilyRib, prefix: number, peer: number): number {
    const { paths } = rib;
    for (let record = paths.head[prefix] ?? -1; record >= 0; record = paths.next[record] ?? -1) {
      if (paths.peerOf(record) === peer) return this.#timeOf(paths.tick[record] ?? 0);
    }
    return 0;
  }
}

/** Whether a prefix (id) lies inside another; made once, so that a scan of the table allocates nothing for those outside. */
function withinTest(rib: FamilyRib, outer: Prefix | undefined): (id: number) => boolean {
  if (outer === undefined) return () => true;
  if (outer.family !== rib.family) return () => false;
  const { prefixes } = rib;
  const words = Math.ceil(outer.length / 32);
  const view = new DataView(outer.bytes.buffer, outer.bytes.byteOffset, outer.bytes.length);
  const wanted = Array.from({ length: words }, (_, index) => view.getInt32(4 * index));
  return (id) => {
    if (prefixes.lengthOf(id) < outer.length) return false;
    for (let index = 0; index < words; index++) {
      if (maskWord(prefixes.wordOf(id, index), outer.length - 32 * index) !== wanted[index]) return false;
    }
    return true;
  };
}

/** Peers, updates and receivers for tests of the RIB. Updates are real octets, written and read by the wire room. */
import assert from 'node:assert/strict';
import type { FilterChain } from '../../../../bgp/policy/types.ts';
import type { PeerSession } from '../../../../bgp/rib/peers.ts';
import { Rib } from '../../../../bgp/rib/rib.ts';
import type { RibOptions } from '../../../../bgp/rib/rib-types.ts';
import type { PathView, PeerConfig } from '../../../../bgp/types.ts';
import { decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import { nextFrame } from '../../../../bgp/wire/frame.ts';
import { NlriWalker } from '../../../../bgp/wire/nlri.ts';
import { UpdatePacker } from '../../../../bgp/wire/packer.ts';
import type { DecodeContext, DecodedUpdate, PathAttributes } from '../../../../bgp/wire/types.ts';
import { decodeUpdate } from '../../../../bgp/wire/update.ts';
import { type Address, type Family, formatAddress, parseAddress } from '../../../../src/net/address.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../../../../src/net/prefix.ts';
import { PrefixTable } from '../../../../src/net/prefix-table.ts';

export const ACCEPT_ALL: FilterChain = { name: 'all', rules: [], fallThrough: 'accept' };
export const LOCAL_AS = 64500;

export function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed, `${text} is an address`);
  return parsed;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed, `${text} is a prefix`);
  return parsed;
}

export function makeRib(options: Partial<RibOptions> = {}): Rib {
  return new Rib({
    localAs: LOCAL_AS,
    routerId: 0x0a000001,
    maxPaths: 1,
    relaxAsPath: false,
    alwaysCompareMed: false,
    compareRouterId: false,
    trackNextHops: false,
    onWork: () => {},
    ...options,
  });
}

/** Changes to the usual configuration; a policy given as undefined is left out. */
export type PeerChanges = Omit<Partial<PeerConfig>, 'importPolicy' | 'exportPolicy'> & {
  readonly importPolicy?: FilterChain | undefined;
  readonly exportPolicy?: FilterChain | undefined;
};

export function peerConfig(changes: PeerChanges = {}, base: PeerConfig = USUAL): PeerConfig {
  const { importPolicy: baseImport, exportPolicy: baseExport, ...rest } = base;
  const importPolicy = 'importPolicy' in changes ? changes.importPolicy : baseImport;
  const exportPolicy = 'exportPolicy' in changes ? changes.exportPolicy : baseExport;
  const { importPolicy: _import, exportPolicy: _export, ...others } = changes;
  return {
    ...rest,
    ...others,
    ...(importPolicy === undefined ? {} : { importPolicy }),
    ...(exportPolicy === undefined ? {} : { exportPolicy }),
  };
}

const USUAL: PeerConfig = {
  name: 'peer',
  address: address('192.0.2.1'),
  port: 179,
  peerAs: 65001,
  localAs: LOCAL_AS,
  passive: false,
  adminDown: false,
  holdTimeSec: 90,
  connectRetrySec: 5,
  connectRetryMaxSec: 120,
  ttl: 1,
  families: ['ipv4', 'ipv6'],
  importPolicy: ACCEPT_ALL,
  exportPolicy: ACCEPT_ALL,
  nextHop: 'auto',
  allowOwnAs: 0,
};

export function contextOf(config: PeerConfig, changes: Partial<DecodeContext> = {}): DecodeContext {
  return {
    peerKind: config.peerAs === config.localAs ? 'ibgp' : 'ebgp',
    localAs: config.localAs,
    peerAs: config.peerAs,
    as4: true,
    extendedMessage: false,
    addPathReceive: { ipv4: false, ipv6: false },
    families: { ipv4: true, ipv6: true },
    extendedNextHop: false,
    ...changes,
  };
}

export function sessionOf(config: PeerConfig, changes: Partial<PeerSession> = {}): PeerSession {
  return {
    routerId: 0x0a0000ff,
    localAddress: { ipv4: address('192.0.2.254'), ipv6: address('2001:db8::fe') },
    peerConnected: true,
    context: contextOf(config),
    addPathSend: { ipv4: false, ipv6: false },
    maxMessage: 4096,
    ...changes,
  };
}

export const FOREVER = (): boolean => false;

/** Lets a RIB work until nothing is left. */
export function settle(rib: Rib): void {
  while (rib.work(FOREVER));
}

export function attributes(changes: Partial<PathAttributes> = {}): PathAttributes {
  return {
    origin: 'igp',
    asPath: [{ type: 'sequence', asNumbers: [65001] }],
    nextHop: address('192.0.2.1'),
    ...changes,
  };
}

export function path(...asNumbers: number[]): Pick<PathAttributes, 'asPath'> {
  return { asPath: [{ type: 'sequence', asNumbers }] };
}

const packer = new UpdatePacker();
const PACKING = { as4: true, extendedNextHop: false, addPath: false, maxLength: 4096 };
const words = { ipv4: new PrefixTable('ipv4'), ipv6: new PrefixTable('ipv6') };

function addPrefix(value: Prefix, pathId: number): void {
  const table = words[value.family];
  const id = table.internPrefix(value);
  const wide = value.family === 'ipv6';
  const word = (index: number): number => (index === 0 || wide ? table.wordOf(id, index) : 0);
  assert.ok(packer.add(value.length, word(0), word(1), word(2), word(3), pathId), 'fits into a message');
}

function decoded(message: Uint8Array, context: DecodeContext): DecodedUpdate {
  const update = decodeUpdate(message.slice(19), context);
  assert.equal(update.verdict.kind, 'ok', JSON.stringify(update.verdict));
  return update;
}

/** An UPDATE as the peer of `context` would send it. Prefixes of one family. */
export function announcement(...what: Parameters<typeof announcementMessage>): DecodedUpdate {
  return decoded(announcementMessage(...what), what[0]);
}

export function withdrawal(...what: Parameters<typeof withdrawalMessage>): DecodedUpdate {
  return decoded(withdrawalMessage(...what), what[0]);
}

export function announcementMessage(
  context: DecodeContext,
  prefixes: readonly string[],
  carried: PathAttributes,
  pathId?: number,
): Uint8Array {
  const buffer = new Uint8Array(4096);
  const values = prefixes.map(prefix);
  const family = values[0]?.family ?? 'ipv4';
  const options = { ...PACKING, addPath: pathId !== undefined, extendedNextHop: context.extendedNextHop };
  assert.equal(packer.beginReach(buffer, 0, family, encodeAttributes(carried), options), 'begun');
  for (const value of values) addPrefix(value, pathId ?? 0);
  return buffer.subarray(0, packer.finish());
}

export function withdrawalMessage(
  _context: DecodeContext,
  prefixes: readonly string[],
  pathId?: number,
): Uint8Array {
  const buffer = new Uint8Array(4096);
  const values = prefixes.map(prefix);
  const family = values[0]?.family ?? 'ipv4';
  packer.beginWithdraw(buffer, 0, family, { ...PACKING, addPath: pathId !== undefined });
  for (const value of values) addPrefix(value, pathId ?? 0);
  return buffer.subarray(0, packer.finish());
}

/** What a peer has made of the messages that `fill` wrote for it. */
export class Receiver {
  /** prefix text -> attributes */
  readonly table = new Map<string, PathAttributes>();
  readonly endOfRib = new Set<Family>();
  messages = 0;
  /** NLRI announced and withdrawn, repeats counted */
  announced = 0;
  withdrawn = 0;
  readonly #context: DecodeContext;
  readonly #walker = new NlriWalker();

  /** `sender` is how the receiving side sees the RIB that sends. */
  constructor(config: PeerConfig, changes: Partial<DecodeContext> = {}) {
    this.#context = {
      ...contextOf(config),
      localAs: config.peerAs,
      peerAs: config.localAs,
      ...changes,
    };
  }

  /** Pulls up to `pulls` buffers of `size` octets from a RIB; returns whether the last one had something in it. */
  pull(rib: Rib, id: number, pulls = 1000, size = 1 << 16): boolean {
    const buffer = new Uint8Array(size);
    for (let i = 0; i < pulls; i++) {
      const octets = rib.fill(id, buffer, 0);
      if (octets === 0) return false;
      this.#read(buffer, octets);
    }
    return true;
  }

  #read(buffer: Uint8Array, octets: number): void {
    let at = 0;
    while (at < octets) {
      const frame = nextFrame(buffer, at, octets, false);
      assert.equal(frame.kind, 'message', 'fill writes whole messages');
      if (frame.kind !== 'message') return;
      this.messages++;
      const update = decodeUpdate(buffer.slice(frame.bodyStart, frame.end), this.#context);
      assert.equal(update.verdict.kind, 'ok', JSON.stringify(update.verdict));
      this.#apply(update);
      at = frame.end;
    }
  }

  #apply(update: DecodedUpdate): void {
    if (update.endOfRib !== undefined) this.endOfRib.add(update.endOfRib);
    const texts = (range: DecodedUpdate['withdrawn'][number]): string[] => {
      const table = words[range.family];
      const found: string[] = [];
      const walker = this.#walker;
      walker.reset(update.body, range);
      while (walker.next()) {
        const id = table.intern(walker.length, walker.w0, walker.w1, walker.w2, walker.w3);
        found.push(formatPrefix(table.prefixOf(id)));
      }
      return found;
    };
    for (const range of update.withdrawn) {
      for (const text of texts(range)) {
        this.withdrawn++;
        assert.ok(this.table.delete(text), `${text} withdrawn without having been announced`);
      }
    }
    for (const run of update.reach) {
      const carried = decodeAttributes(run.attributes);
      for (const text of texts(run.nlri)) {
        this.announced++;
        this.table.set(text, carried);
      }
    }
  }
}

/** Attributes as text that is equal for equal attributes. */
export function textOf(value: PathAttributes): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (part instanceof Uint8Array) return Array.from(part).join('.');
    if (typeof part === 'bigint') return `${part}n`;
    if (part !== null && typeof part === 'object' && !Array.isArray(part)) {
      return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
    }
    return part;
  });
}

/** A peer that is known and up. */
export class TestPeer {
  readonly rib: Rib;
  config: PeerConfig;
  readonly id: number;
  receiver: Receiver;
  context: DecodeContext;
  #now = 1_000_000;
  #sent = 0;

  constructor(rib: Rib, changes: PeerChanges, session: Partial<PeerSession> = {}) {
    this.rib = rib;
    this.config = peerConfig(changes);
    this.id = rib.addPeer(this.config);
    this.context = session.context ?? contextOf(this.config);
    this.receiver = new Receiver(this.config);
    rib.peerUp(this.id, sessionOf(this.config, session));
  }

  announce(prefixes: readonly string[], carried: PathAttributes, now = this.#now, pathId?: number): this {
    this.#now = now;
    return this.#send(announcementMessage(this.context, prefixes, carried, pathId));
  }

  withdraw(prefixes: readonly string[], pathId?: number): this {
    return this.#send(withdrawalMessage(this.context, prefixes, pathId));
  }

  /** Every other message goes the short way that plain UPDATEs can go. */
  #send(message: Uint8Array): this {
    this.#sent++;
    const { length } = message;
    const taken =
      this.#sent % 2 === 0 ? this.rib.receivePlain(this.id, message, 0, length, 1, this.#now).octets : 0;
    if (taken === 0) this.rib.receive(this.id, decoded(message, this.context), this.#now);
    else assert.equal(taken, length);
    return this;
  }

  /** Goes down and comes up again with an empty table. */
  up(session: Partial<PeerSession> = {}): this {
    this.context = session.context ?? contextOf(this.config);
    this.receiver = new Receiver(this.config);
    this.rib.peerUp(this.id, sessionOf(this.config, session));
    return this;
  }

  down(keepStale: readonly Family[] = []): this {
    this.rib.peerDown(this.id, keepStale);
    return this;
  }

  update(changes: PeerChanges): this {
    this.config = peerConfig(changes, this.config);
    this.rib.updatePeer(this.id, this.config);
    return this;
  }

  /** Has the RIB finish its work, then reads all it sends. */
  read(): Map<string, PathAttributes> {
    settle(this.rib);
    this.receiver.pull(this.rib, this.id);
    return this.receiver.table;
  }
}

/** The path views of a prefix. */
export function viewsOf(rib: Rib, text: string, received = false): PathView[] {
  const value = prefix(text);
  return [...rib.routes({ family: value.family, prefix: value, received })];
}

/** The name of the peer whose path is best, 'local', or undefined. */
export function bestOf(rib: Rib, text: string): string | undefined {
  const best = viewsOf(rib, text).find((view) => view.best);
  if (best === undefined) return undefined;
  return best.source.kind === 'local' ? 'local' : best.source.peer;
}

/** Selected next hops of a prefix, as text. */
export function selectedOf(rib: Rib, text: string): string[] {
  const value = prefix(text);
  const id = rib.prefixTable(value.family).findPrefix(value);
  return rib.selectedNextHops(value.family, id).map(formatAddress);
}

/** A FIB that takes what the RIB selects, late and not everything. Feeds the answers back as the agent does. */
export class ScriptedFib {
  /** prefixes that it refuses */
  readonly refused = new Set<string>();
  /** learned prefixes that it has */
  readonly taken = new Set<string>();
  readonly #rib: Rib;
  readonly #wanted = new Set<string>();
  readonly #pending = new Set<string>();

  constructor(rib: Rib) {
    this.#rib = rib;
    rib.awaitForwarding((family) => ![...this.#pending].some((text) => prefix(text).family === family));
    rib.subscribe({ onLocRibChange: (family, ids, count) => this.#onChange(family, ids.subarray(0, count)) });
  }

  /** Refuses a prefix from now on, or takes it: an answer to give in either case. */
  setRefused(text: string, refused: boolean): void {
    if (refused) this.refused.add(text);
    else this.refused.delete(text);
    if (this.#wanted.has(text)) this.#pending.add(text);
  }

  /** Does all that is to be done. */
  work(): void {
    for (const text of this.#pending) {
      this.#pending.delete(text);
      const isTaken = this.#wanted.has(text) && !this.refused.has(text);
      if (isTaken) this.taken.add(text);
      else this.taken.delete(text);
      const value = prefix(text);
      const id = this.#rib.prefixTable(value.family).findPrefix(value);
      if (id >= 0) this.#rib.setForwarded(value.family, id, isTaken);
    }
    this.#rib.forwardingSettled();
  }

  #onChange(family: Family, ids: Int32Array): void {
    for (const id of ids) {
      const text = formatPrefix(this.#rib.prefixTable(family).prefixOf(id));
      const isWanted = this.#rib.selectedNextHopSetId(family, id) >= 0;
      if (isWanted) this.#wanted.add(text);
      else this.#wanted.delete(text);
      this.#pending.add(text);
      this.#rib.setForwarded(family, id, isWanted && this.taken.has(text));
    }
  }
}

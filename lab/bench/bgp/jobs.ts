/** The workloads: who sends what, and what must have come out at the other side after each phase. */
import type { Family } from '../../../src/net/address.ts';
import { type AttributeSet, plainSet, prepended } from './attributes.ts';
import {
  DATA_FILES,
  type OwnNumbers,
  readAllPaths,
  readData,
  readLargestPeer,
  readOrigins,
  readStreams,
  type Stream,
} from './data.ts';
import {
  announcedBy,
  encodeAnnouncements,
  encodeWithdrawals,
  LastRoutes,
  part,
  type RouteTable,
  SetStore,
  UpdateEncoder,
  wordsOf,
} from './routes.ts';
import { makeWorkload } from './workload.ts';

export const DEVICE_AS = 65_000;
export const RECEIVER_AS = 64_999;
export const WATCH_AS = 64_998;
export const FIRST_SENDER_AS = 65_001;
export const MAX_SENDERS = 100;
/**
 * GoBGP, which prepares what it sends for each peer alone, takes 2.6 to 2.9 ms a prefix here, at 12 as at 50 prefixes a peer: for 100,000
 * about 300 s of processor time, and two thirds of that to withdraw them.
 */
const MANY_PEERS_WAIT_SEC = 900;
const OWN: OwnNumbers = [DEVICE_AS, RECEIVER_AS, WATCH_AS, FIRST_SENDER_AS];

/** Addresses of the bed: senders on one link, the receiver and the watched session on the other. */
export const ADDRESS = {
  device: { ipv4: '10.99.2.1', ipv6: 'fd99:2::1' },
  deviceToSenders: { ipv4: '10.99.1.1', ipv6: 'fd99:1::1' },
  receiver: { ipv4: '10.99.2.2', ipv6: 'fd99:2::2' },
  watch: '10.99.2.3',
} as const;

/** A sender's address. Only the first has one in IPv6. */
export function senderAddress(index: number, family: Family): string {
  return family === 'ipv4' ? `10.99.1.${10 + index}` : `fd99:1::${10 + index}`;
}

/** The octets of such an address: of the bed's shapes only. */
export function addressOctets(address: string): Uint8Array {
  if (!address.includes(':')) return Uint8Array.from(address.split('.').map(Number));
  const octets = new Uint8Array(16);
  const [head = '', tail = ''] = address.split('::');
  for (const [index, group] of head.split(':').entries())
    new DataView(octets.buffer).setUint16(2 * index, Number.parseInt(group, 16));
  new DataView(octets.buffer).setUint16(14, Number.parseInt(tail, 16));
  return octets;
}

/** Something that is sent at once, and measured until the receiver has all that follows from it. */
export interface Phase {
  readonly name: 'in' | 'churn' | 'out';
  /** by sender, and by family in the order of the job's; empty: nothing */
  readonly octets: readonly (readonly Buffer[])[];
  /** UPDATEs in `octets` where their number matters, else 0 */
  readonly updates: number;
  /** by family: what the receiver has in the end */
  readonly expected: readonly RouteTable[];
  /** by family: NLRI that must at least have come */
  readonly changes: readonly number[];
}

export interface Job {
  readonly name: string;
  readonly families: readonly Family[];
  readonly hasPathIds: boolean;
  /** AS numbers of the senders */
  readonly senders: readonly number[];
  readonly phases: readonly Phase[];
  /** what is to be known of the data */
  readonly note: string;
  /** a phase may take so long; default 300 */
  readonly waitSec?: number;
}

export interface JobOptions {
  /** folder of the real tables */
  readonly data: string | undefined;
  /** prefixes of a table, or UPDATEs of a stream, at most */
  readonly limit: number;
}

/** All workloads by name. Those that begin with `real-` throw without their data. */
export const JOBS: Readonly<Record<string, (options: JobOptions) => Omit<Job, 'name'>>> = {
  'one-100k': ({ limit }) => oneSender(100_000, limit),
  'one-1m': ({ limit }) => oneSender(1_000_000, limit),
  'ten-100k': ({ limit }) => sharedPrefixes(10, Math.min(limit, 100_000)),
  'hundred-1k': ({ limit }) => ownPrefixes(MAX_SENDERS, Math.min(limit, 1_000)),
  'real-113k': ({ data, limit }) => {
    const file = readData(data, DATA_FILES.oneTable);
    const { table, leftOut, peerAs } = readLargestPeer(file, OWN, limit);
    return oneTableEach([table], peerAs, leftOut);
  },
  'real-634k': ({ data, limit }) => {
    const { tables, leftOut } = readOrigins(readData(data, DATA_FILES.origins).toString('utf8'), OWN, limit);
    const own = tables.map((table) => announcedBy(table, FIRST_SENDER_AS));
    return oneTableEach(own, FIRST_SENDER_AS, leftOut);
  },
  'real-addpath': ({ data, limit }) => {
    const { table, leftOut } = readAllPaths(readData(data, DATA_FILES.manyPeers), OWN, limit);
    return oneTableEach([announcedBy(table, FIRST_SENDER_AS)], FIRST_SENDER_AS, leftOut);
  },
  'real-churn': ({ data, limit }) => {
    const base = readLargestPeer(readData(data, DATA_FILES.oneTable), OWN, limit);
    const files = DATA_FILES.streams.map((name) => readData(data, name));
    const stream = readStreams(files, [...OWN, base.peerAs], limit);
    return churn(base.table, base.peerAs, stream);
  },
};

function oneSender(count: number, limit: number): Omit<Job, 'name'> {
  const table = makeWorkload(Math.min(count, limit), FIRST_SENDER_AS);
  return oneTableEach([table], FIRST_SENDER_AS, new Map());
}

/** One sender announces a table a family and withdraws them. */
function oneTableEach(
  tables: readonly RouteTable[],
  as: number,
  leftOut: ReadonlyMap<string, number>,
): Omit<Job, 'name'> {
  const nextHops = tables.map(({ family }) => addressOctets(senderAddress(0, family)));
  const counts = tables.map(({ count }) => count);
  return {
    families: tables.map(({ family }) => family),
    hasPathIds: tables.some(({ pathIds }) => pathIds !== undefined),
    senders: [as],
    phases: [
      {
        name: 'in',
        octets: [
          tables.map((table, index) => encodeAnnouncements(table, nextHops[index] ?? new Uint8Array(4))),
        ],
        updates: 0,
        expected: tables,
        changes: counts,
      },
      {
        name: 'out',
        octets: [tables.map(encodeWithdrawals)],
        updates: 0,
        expected: tables.map((table) => part(table, 0, 0)),
        changes: counts,
      },
    ],
    note: noteOf(tables, leftOut),
  };
}

/** All send the same prefixes, the first with the shortest paths; then that one withdraws, and each prefix changes to one of the others. */
function sharedPrefixes(senders: number, count: number): Omit<Job, 'name'> {
  const best = makeWorkload(count, FIRST_SENDER_AS);
  const tables = Array.from({ length: senders }, (_, index) => {
    const as = FIRST_SENDER_AS + index;
    const longer = index > 0 ? [as, as] : [];
    return { ...best, sets: best.sets.map((set) => withFirst(set, [as, ...longer])) };
  });
  const [, second = best, ...others] = tables;
  // They are equally good: which one it is, is the device's own affair.
  const alternatives = second.sets.map((_, set) => others.flatMap((table) => table.sets[set] ?? []));
  return {
    families: ['ipv4'],
    hasPathIds: false,
    senders: tables.map((_, index) => FIRST_SENDER_AS + index),
    phases: [
      {
        name: 'in',
        octets: tables.map((table, index) => [encodeFrom(table, index)]),
        updates: 0,
        expected: [best],
        changes: [count],
      },
      {
        name: 'out',
        octets: tables.map((table, index) => (index === 0 ? [encodeWithdrawals(table)] : [])),
        updates: 0,
        expected: [{ ...second, alternatives }],
        changes: [count],
      },
    ],
    note: noteOf([best], new Map()),
  };
}

function withFirst(set: AttributeSet, first: readonly number[]): AttributeSet {
  return plainSet([...first, ...(set.path[0]?.asNumbers.slice(1) ?? [])]);
}

function encodeFrom(table: RouteTable, sender: number): Buffer {
  return encodeAnnouncements(table, addressOctets(senderAddress(sender, 'ipv4')));
}

/** Each sends prefixes of its own, with its own AS in front. */
function ownPrefixes(senders: number, count: number): Omit<Job, 'name'> {
  const whole = makeWorkload(senders * count, FIRST_SENDER_AS);
  const parts = Array.from({ length: senders }, (_, index) => {
    const own = part(whole, index * count, count);
    return { ...own, sets: own.sets.map((set) => withFirst(set, [FIRST_SENDER_AS + index])) };
  });
  const store = new SetStore();
  const setOf = new Uint32Array(whole.count);
  for (const [index, { setOf: own, sets }] of parts.entries())
    for (let route = 0; route < count; route++)
      setOf[index * count + route] = store.intern(sets[own[route] ?? 0] ?? plainSet([]));
  const expected = { ...whole, sets: store.sets, setOf };
  return {
    families: ['ipv4'],
    hasPathIds: false,
    senders: parts.map((_, index) => FIRST_SENDER_AS + index),
    phases: [
      {
        name: 'in',
        octets: parts.map((table, index) => [encodeFrom(table, index)]),
        updates: 0,
        expected: [expected],
        changes: [whole.count],
      },
      {
        name: 'out',
        octets: parts.map((table) => [encodeWithdrawals(table)]),
        updates: 0,
        expected: [part(expected, 0, 0)],
        changes: [whole.count],
      },
    ],
    note: noteOf([expected], new Map()),
    waitSec: MANY_PEERS_WAIT_SEC,
  };
}

/** A base table in IPv4, then the stream in both families, all from one sender. */
export function churn(base: RouteTable, as: number, stream: Stream): Omit<Job, 'name'> {
  const families = ['ipv4', 'ipv6'] as const;
  const store = new SetStore();
  const own = stream.sets.sets.map((set) => store.intern(prepended(set, as)));
  const baseSets = base.sets.map((set) => store.intern(set));
  for (let index = 0; index < base.count; index++) {
    const id = stream.routes.ipv4.prefixes.intern(base.lengths[index] ?? 0, base.words[index] ?? 0);
    stream.routes.ipv4.set(id, 0, baseSets[base.setOf[index] ?? 0] ?? 0);
  }
  const encoders = {
    ipv4: new UpdateEncoder(addressOctets(senderAddress(0, 'ipv4'))),
    ipv6: new UpdateEncoder(addressOctets(senderAddress(0, 'ipv6'))),
  };
  for (const { family, withdrawn, announced, set } of stream.changes) {
    const routes = stream.routes[family];
    const number = own[set] ?? 0;
    for (const id of withdrawn) routes.delete(id, 0);
    for (const id of announced) routes.set(id, 0, number);
    encoders[family].withdraw(rowsOf(routes, withdrawn, 0, []), 0, withdrawn.length);
    encoders[family].announce(rowsOf(routes, announced, number, store.sets), 0, announced.length);
  }
  const nothing = new LastRoutes('ipv6').table([], false);
  const nextHop = addressOctets(senderAddress(0, 'ipv4'));
  const expected = families.map((family) => stream.routes[family].table(store.sets, false));
  return {
    families,
    hasPathIds: false,
    senders: [as],
    phases: [
      {
        name: 'in',
        octets: [[encodeAnnouncements(base, nextHop), Buffer.alloc(0)]],
        updates: 0,
        expected: [base, nothing],
        changes: [base.count, 0],
      },
      {
        name: 'churn',
        octets: [families.map((family) => encoders[family].take())],
        updates: encoders.ipv4.messages + encoders.ipv6.messages,
        expected,
        changes: [0, 0],
      },
    ],
    note: `${noteOf([base], stream.leftOut)}; then ${encoders.ipv4.messages} UPDATEs in IPv4, ${encoders.ipv6.messages} in IPv6`,
  };
}

/** Some prefixes as a table of one attribute set. */
function rowsOf(
  routes: LastRoutes,
  ids: readonly number[],
  set: number,
  sets: readonly AttributeSet[],
): RouteTable {
  const size = wordsOf(routes.family);
  const words = new Uint32Array(ids.length * size);
  const lengths = new Uint8Array(ids.length);
  for (const [index, id] of ids.entries()) {
    lengths[index] = routes.prefixes.lengthOf(id);
    for (let word = 0; word < size; word++) words[index * size + word] = routes.prefixes.wordOf(id, word);
  }
  const setOf = new Uint32Array(ids.length).fill(set);
  return { family: routes.family, count: ids.length, words, lengths, setOf, sets };
}

function noteOf(tables: readonly RouteTable[], leftOut: ReadonlyMap<string, number>): string {
  const sizes = tables.map(({ family, count, setOf, pathIds }) => {
    const what = pathIds === undefined ? 'prefixes' : 'paths';
    return `${count} ${family === 'ipv4' ? 'IPv4' : 'IPv6'} ${what} with ${new Set(setOf).size} attribute sets`;
  });
  const reasons = [...leftOut].map(([reason, count]) => `${count} ${reason}`);
  return sizes.join(', ') + (reasons.length === 0 ? '' : `; left out: ${reasons.join(', ')}`);
}

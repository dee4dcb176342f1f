import assert from 'node:assert/strict';
import {
  isGlobalUnicast,
  pathTo,
  readAllPaths,
  readData,
  readLargestPeer,
  readOrigins,
  readStreams,
} from '../../../../../lab/bench/bgp/data.ts';
import { churn } from '../../../../../lab/bench/bgp/jobs.ts';
import { announcedBy, encodeAnnouncements } from '../../../../../lab/bench/bgp/routes.ts';
import { ReceivedRoutes } from '../../../../../lab/bench/bgp/verify.ts';
import { CODE, encodeAttribute } from '../../../../../lab/bench/bgp/wire.ts';

const ALL = Number.MAX_SAFE_INTEGER;
const NEXT_HOP = encodeAttribute(CODE.nextHop, 0x40, Uint8Array.of(10, 0, 0, 9));
const ORIGIN = encodeAttribute(CODE.origin, 0x40, Uint8Array.of(0));

function u16(value: number): number[] {
  return [(value >> 8) & 255, value & 255];
}

function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value & 0xffff)];
}

/** RFC 6396 section 2 */
function record(type: number, subtype: number, body: readonly number[]): Buffer {
  return Buffer.from([...u32(1_000_000), ...u16(type), ...u16(subtype), ...u32(body.length), ...body]);
}

function attributes(as4: boolean, ...path: readonly number[]): Uint8Array {
  const numbers = path.flatMap((as) => (as4 ? u32(as) : u16(as)));
  const asPath = encodeAttribute(CODE.asPath, 0x40, Uint8Array.from([2, path.length, ...numbers]));
  return Buffer.concat([ORIGIN, asPath, NEXT_HOP]);
}

/** TABLE_DUMP: an entry of peer 192.0.2.`peer` with that AS. */
function dumped(peer: number, prefix: readonly number[], length: number, ...path: readonly number[]): Buffer {
  const run = attributes(false, ...path);
  const from = [192, 0, 2, peer];
  return record(12, 1, [
    ...[0, 0, 0, 0, ...prefix, length, 1, ...u32(0), ...from, ...u16(peer), ...u16(run.length), ...run],
  ]);
}

/** BGP4MP_MESSAGE_AS4 with an UPDATE. */
function update(withdrawn: readonly number[], run: Uint8Array, nlri: readonly number[]): Buffer {
  const body = [...u16(withdrawn.length), ...withdrawn, ...u16(run.length), ...run, ...nlri];
  const message = [...new Array(16).fill(255), ...u16(19 + body.length), 2, ...body];
  const head = [...u32(7), ...u32(8), ...u16(0), ...u16(1), 192, 0, 2, 1, 192, 0, 2, 2];
  return record(16, 4, [...head, ...message]);
}

describe('bench: real tables', () => {
  const dump = Buffer.concat([
    dumped(7, [11, 0, 0, 0], 8, 7, 1),
    dumped(9, [11, 0, 0, 0], 8, 9, 1),
    dumped(7, [12, 0, 0, 0], 8, 7, 65_000),
    dumped(7, [13, 0, 0, 0], 8, 8, 1),
    dumped(7, [127, 0, 0, 0], 8, 7, 1),
    dumped(7, [14, 0, 0, 0], 8, 7, 2, 3),
  ]);

  it('the peer with most routes is taken, and what cannot be used is counted', () => {
    const { table, leftOut, peerAs } = readLargestPeer(dump, [65_000], ALL);
    assert.equal(peerAs, 7);
    assert.deepEqual([...table.words], [0x0b000000, 0x0e000000]);
    assert.deepEqual(
      table.sets.map(({ path }) => path[0]?.asNumbers).filter((path) => path?.[0] === 7),
      [
        [7, 1],
        [7, 2, 3],
      ],
    );
    assert.deepEqual([...leftOut.values()], [1, 1, 1]);
    assert.equal(readLargestPeer(dump, [], 1).table.count, 1);
  });

  it('all paths come with a path identifier for each peer', () => {
    const { table } = readAllPaths(dump, [65_000], ALL);
    assert.equal(table.count, 4);
    assert.deepEqual(new Set(table.pathIds), new Set([1, 2]));
  });

  it('prefixes with their origins become tables of both families', () => {
    const text = '; comment\n11.0.0.0/8\t5\n2001:db8::/32\t5\n12.0.0.0/8\t65000\nf000::/8\t5\nnonsense\t1\n';
    const { tables, leftOut } = readOrigins(text, [65_000], ALL);
    assert.deepEqual(
      tables.map(({ family, count }) => [family, count]),
      [
        ['ipv4', 1],
        ['ipv6', 1],
      ],
    );
    assert.equal(tables[0]?.sets.length, 1);
    assert.deepEqual(
      new Map(leftOut),
      new Map([
        ['no prefix with an origin', 2],
        ['not global unicast', 1],
      ]),
    );
  });

  it('a made path ends at its origin and is always the same', () => {
    for (const origin of [1, 15_169, 4_200_000_000]) {
      assert.equal(pathTo(origin).at(-1), origin);
      assert.deepEqual(pathTo(origin), pathTo(origin));
    }
  });

  it('tells global unicast prefixes from the others', () => {
    assert.ok(isGlobalUnicast('ipv4', 8, 0x0b000000) && isGlobalUnicast('ipv6', 32, 0x20010db8));
    for (const word of [0, 0x7f000000, 0xe0000000, 0xa9fe0000]) assert.ok(!isGlobalUnicast('ipv4', 16, word));
    assert.ok(!isGlobalUnicast('ipv4', 0, 0) && !isGlobalUnicast('ipv6', 16, 0xfe80_0000));
  });

  it('without the folder, or a file in it, says what is needed and where it can be had', () => {
    assert.throws(() => readData(undefined, 'x.gz'), /--data.*x\.gz.*RIPE RIS.*Route Views/);
    assert.throws(() => readData('/nonexistent', 'x.gz'), /x\.gz is not there/);
  });

  it('a stream after a base table leaves what its last words say', () => {
    const base = readLargestPeer(dump, [65_000], ALL);
    const stream = Buffer.concat([
      update([], attributes(true, 20, 21), [8, 11, 8, 15]),
      update([8, 14], attributes(true, 22), [8, 16]),
      update([8, 16], new Uint8Array(0), []),
    ]);
    const job = churn(base.table, base.peerAs, readStreams([stream], [65_000], ALL));
    const [, phase] = job.phases;
    const [ipv4, ipv6] = phase?.expected ?? [];
    assert.ok(ipv4 && ipv6);
    assert.equal(ipv6.count, 0);
    // A device that passes on what it has at the end leaves the same as one that passes on each change.
    const received = new ReceivedRoutes('ipv4', false);
    const nextHop = Uint8Array.of(10, 0, 0, 1);
    received.apply(encodeAnnouncements(announcedBy(ipv4, 65_000), nextHop));
    assert.equal(received.difference(ipv4, { deviceAs: 65_000, nextHop }), undefined);
    assert.deepEqual(new Set(ipv4.words), new Set([0x0b000000, 0x0f000000]));
    assert.deepEqual(
      [...ipv4.setOf].map((set) => ipv4.sets[set]?.path[0]?.asNumbers),
      [
        [7, 20, 21],
        [7, 20, 21],
      ],
    );
    assert.equal(phase?.updates, 4);
  });
});

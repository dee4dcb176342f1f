import assert from 'node:assert/strict';
import { plainSet } from '../../../../../lab/bench/bgp/attributes.ts';
import {
  announcedBy,
  encodeAnnouncements,
  encodeWithdrawals,
  LastRoutes,
  part,
  type RouteTable,
  SetStore,
} from '../../../../../lab/bench/bgp/routes.ts';
import { ReceivedRoutes } from '../../../../../lab/bench/bgp/verify.ts';
import { partsOf, uint16 } from '../../../../../lab/bench/bgp/wire.ts';
import { makeWorkload } from '../../../../../lab/bench/bgp/workload.ts';
import type { Family } from '../../../../../src/net/address.ts';

const DEVICE_AS = 65_000;
const NEXT_HOPS = { ipv4: Uint8Array.of(10, 0, 0, 1), ipv6: new Uint8Array(16).fill(0x20) } as const;

function tableOf(family: Family, count: number, pathsEach = 1): RouteTable {
  const routes = new LastRoutes(family);
  const sets = new SetStore();
  for (let index = 0; index < count; index++) {
    const id =
      family === 'ipv4'
        ? routes.prefixes.intern(24, (0x0b00_0000 + index * 256) | 0)
        : routes.prefixes.intern(48, 0x2001_0000 + index, 0x10000 * (index & 7));
    for (let path = 0; path < pathsEach; path++)
      routes.set(
        id,
        pathsEach > 1 ? path + 1 : 0,
        sets.intern(plainSet([65001, 1 + path, 7 + (index % 50)])),
      );
  }
  return routes.table(sets.sets, pathsEach > 1);
}

/** What a device that does its work would send. */
function passedOn(table: RouteTable): Buffer {
  return encodeAnnouncements(announcedBy(table, DEVICE_AS), NEXT_HOPS[table.family]);
}

function messageLengths(octets: Uint8Array): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < octets.length; at += lengths.at(-1) ?? octets.length)
    lengths.push(uint16(octets, at + 16));
  return lengths;
}

describe('bench: tables', () => {
  for (const family of ['ipv4', 'ipv6'] as const) {
    const rules = { deviceAs: DEVICE_AS, nextHop: NEXT_HOPS[family] };

    it(`${family}: what a device passes on is verified, and its withdrawal`, () => {
      const table = tableOf(family, 2_000);
      const received = new ReceivedRoutes(family, false);
      received.apply(passedOn(table));
      assert.equal(received.difference(table, rules), undefined);
      received.apply(encodeWithdrawals(part(table, 0, 1_999)));
      assert.equal(received.difference(part(table, 1_999, 1), rules), undefined);
      assert.match(received.difference(part(table, 0, 1), rules) ?? '', /prefix 0/);
    });

    it(`${family}: messages are at most 4096 octets, few, and of this family`, () => {
      const octets = encodeWithdrawals(tableOf(family, 2_000));
      const lengths = messageLengths(octets);
      assert.ok(lengths.every((length) => length <= 4096));
      assert.ok(lengths.length <= 6, String(lengths.length));
      assert.deepEqual(
        partsOf(octets, 0).withdrawn.map((range) => range.family),
        [family],
      );
    });

    it(`${family}: several paths of a prefix are compared whatever their numbers are`, () => {
      const table = tableOf(family, 200, 5);
      const received = new ReceivedRoutes(family, true);
      const pathIds = table.pathIds?.map((id) => 100 - id);
      assert.ok(pathIds);
      received.apply(passedOn({ ...table, pathIds }));
      assert.equal(received.difference(table, rules), undefined);
      received.apply(encodeWithdrawals({ ...part(table, 0, 1), pathIds: pathIds.subarray(0, 1) }));
      assert.match(received.difference(table, rules) ?? '', /999 paths, not 1000/);
    });
  }

  it('a wrong AS, next hop or attribute and a missing or additional prefix are found', () => {
    const table = tableOf('ipv4', 10);
    const rules = { deviceAs: DEVICE_AS, nextHop: NEXT_HOPS.ipv4 };
    const differenceOf = (octets: Uint8Array): string => {
      const received = new ReceivedRoutes('ipv4', false);
      received.apply(octets);
      return received.difference(table, rules) ?? 'none';
    };
    assert.equal(differenceOf(passedOn(table)), 'none');
    assert.match(differenceOf(encodeAnnouncements(table, NEXT_HOPS.ipv4)), /attributes/);
    assert.match(
      differenceOf(encodeAnnouncements(announcedBy(table, DEVICE_AS), Uint8Array.of(10, 0, 0, 2))),
      /attributes/,
    );
    assert.match(differenceOf(passedOn(part(table, 1, 9))), /9 paths, not 10/);
    assert.match(differenceOf(passedOn(tableOf('ipv4', 11))), /11 paths, not 10/);
  });

  it('takes one of several where either will do, and none else', () => {
    const table = tableOf('ipv4', 1);
    const rules = { deviceAs: DEVICE_AS, nextHop: NEXT_HOPS.ipv4 };
    const received = new ReceivedRoutes('ipv4', false);
    received.apply(passedOn({ ...table, sets: [plainSet([65002, 5])] }));
    assert.equal(received.difference({ ...table, alternatives: [[plainSet([65002, 5])]] }, rules), undefined);
    assert.ok(received.difference({ ...table, alternatives: [[plainSet([65003, 5])]] }, rules));
  });

  it('the made table is ascending, without overlap, and comes back whole', () => {
    const table = makeWorkload(5_000, 65001);
    for (let index = 1; index < table.count; index++) {
      const end = (table.words[index - 1] ?? 0) + 2 ** (32 - (table.lengths[index - 1] ?? 0));
      assert.ok((table.words[index] ?? 0) >= end);
    }
    const received = new ReceivedRoutes('ipv4', false);
    received.apply(passedOn(table));
    assert.equal(received.difference(table, { deviceAs: DEVICE_AS, nextHop: NEXT_HOPS.ipv4 }), undefined);
  });

  it('the last word on a path counts, and paths are counted', () => {
    const routes = new LastRoutes('ipv4');
    const id = routes.prefixes.intern(24, 0x0b000000);
    routes.set(id, 0, 4);
    routes.set(id, 0, 5);
    assert.equal(routes.count, 1);
    routes.set(id, 7, 6);
    assert.deepEqual(routes.of(id), [
      [7, 6],
      [0, 5],
    ]);
    routes.delete(id, 0);
    routes.delete(id, 0);
    assert.equal(routes.count, 1);
  });
});

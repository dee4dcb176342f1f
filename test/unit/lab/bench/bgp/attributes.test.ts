import assert from 'node:assert/strict';
import {
  asNumbersOf,
  canonicalForm,
  encodeSet,
  expectedForm,
  plainSet,
  prepended,
  setFromRun,
} from '../../../../../lab/bench/bgp/attributes.ts';
import { CODE, encodeAttribute } from '../../../../../lab/bench/bgp/wire.ts';

const NEXT_HOP = Uint8Array.of(10, 0, 0, 1);

function runOf(...attributes: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(attributes);
}

const origin = encodeAttribute(CODE.origin, 0x40, Uint8Array.of(1));

describe('bench: attribute sets', () => {
  it('widens AS numbers of two octets in paths, sets among them, and aggregators', () => {
    const run = runOf(
      origin,
      encodeAttribute(CODE.asPath, 0x40, Uint8Array.of(2, 2, 0, 1, 0, 2, 1, 2, 0, 9, 0, 4)),
      encodeAttribute(CODE.aggregator, 0xc0, Uint8Array.of(0, 7, 192, 0, 2, 1)),
    );
    const set = setFromRun(run, false);
    assert.ok(typeof set !== 'string');
    assert.deepEqual(set.path, [
      { type: 2, asNumbers: [1, 2] },
      { type: 1, asNumbers: [4, 9] },
    ]);
    assert.equal(set.origin, 1);
    assert.deepEqual([...(set.others[0]?.value ?? [])], [0, 0, 0, 7, 192, 0, 2, 1]);
    assert.deepEqual(asNumbersOf(prepended(set, 65000)), [65000, 1, 2, 4, 9]);
  });

  it('leaves out what keeps a route from being passed on, and says why a route cannot be used', () => {
    const path = encodeAttribute(CODE.asPath, 0x40, Uint8Array.of(2, 1, 0, 0, 0, 1));
    const communities = encodeAttribute(
      CODE.communities,
      0xc0,
      Uint8Array.of(0xff, 0xff, 0xff, 0x01, 0, 100, 0, 1),
    );
    const localPref = encodeAttribute(5, 0x40, Uint8Array.of(0, 0, 0, 100));
    const set = setFromRun(runOf(origin, path, localPref, communities), true);
    assert.ok(typeof set !== 'string');
    assert.deepEqual(
      set.others.map(({ code, value }) => [code, [...value]]),
      [[CODE.communities, [0, 100, 0, 1]]],
    );
    assert.match(String(setFromRun(origin, true)), /no AS_PATH/);
    const zero = encodeAttribute(CODE.asPath, 0x40, Uint8Array.of(2, 1, 0, 0, 0, 0));
    assert.match(String(setFromRun(runOf(origin, zero), true)), /AS 0/);
    const confederation = encodeAttribute(CODE.asPath, 0x40, Uint8Array.of(3, 1, 0, 0, 0, 1));
    assert.match(String(setFromRun(runOf(origin, confederation), true)), /confederation/);
  });

  it('begins a new segment before an AS_SET and before a full AS_SEQUENCE', () => {
    const setFirst = { ...plainSet([]), path: [{ type: 1, asNumbers: [3] }] };
    assert.deepEqual(prepended(setFirst, 9).path, [
      { type: 2, asNumbers: [9] },
      { type: 1, asNumbers: [3] },
    ]);
    const full = plainSet(new Array(255).fill(5));
    assert.deepEqual(
      prepended(full, 9).path.map(({ asNumbers }) => asNumbers.length),
      [1, 255],
    );
  });

  it('takes a path for the same however its sequences are cut', () => {
    const formOf = (...path: readonly (readonly [type: number, ...asNumbers: number[]])[]): string => {
      const segments = path.map(([type, ...asNumbers]) => ({ type, asNumbers }));
      const run = encodeSet({ ...plainSet([]), path: segments }, NEXT_HOP);
      return canonicalForm(run, 0, run.length, undefined);
    };
    assert.equal(
      formOf([2, 1], [2, 2, 3], [1, 5, 4, 5], [2, 6], [2, 7]),
      formOf([2, 1, 2, 3], [1, 4, 5], [2, 6, 7]),
    );
    // Two sets count as two ASes, a sequence of one is no set, and the order within a sequence matters.
    assert.notEqual(formOf([2, 1], [1, 2], [1, 3]), formOf([2, 1], [1, 2, 3]));
    assert.notEqual(formOf([2, 1], [1, 2]), formOf([2, 1, 2]));
    assert.notEqual(formOf([2, 1], [2, 2]), formOf([2, 2, 1]));
    // What a device makes of a full segment: a new one in front, or the numbers moved up.
    const full = { ...plainSet([]), path: [{ type: 2, asNumbers: new Array<number>(255).fill(5) }] };
    const moved = formOf([2, 65000, ...new Array<number>(254).fill(5)], [2, 5]);
    assert.equal(expectedForm(full, 65000, NEXT_HOP), moved);
  });

  it('expects the AS of the device, its next hop, no MED, and the rest', () => {
    const set = {
      ...plainSet([1, 2]),
      others: [
        { code: CODE.med, flags: 0x80, value: Uint8Array.of(0, 0, 0, 5) },
        { code: CODE.communities, flags: 0xc0, value: Uint8Array.of(0, 2, 0, 1, 0, 1, 0, 1) },
      ],
    };
    const passed = { ...plainSet([65000, 1, 2]), others: set.others.slice(1) };
    const run = encodeSet(passed, NEXT_HOP);
    assert.equal(expectedForm(set, 65000, NEXT_HOP), canonicalForm(run, 0, run.length, undefined));
    assert.match(expectedForm(set, 65000, NEXT_HOP), /8:00010001,00020001/);
  });

  it('compares without the order of attributes and communities, and with the global next hop alone', () => {
    const communities = (...octets: readonly number[]): Uint8Array =>
      encodeAttribute(CODE.communities, 0xc0, Uint8Array.from(octets));
    const one = runOf(origin, communities(0, 2, 0, 1, 0, 1, 0, 1));
    const other = runOf(communities(0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0, 1), origin);
    const global = new Uint8Array(16).fill(7);
    const both = new Uint8Array(32).fill(7, 0, 16);
    assert.equal(canonicalForm(one, 0, one.length, global), canonicalForm(other, 0, other.length, both));
    assert.notEqual(
      canonicalForm(one, 0, one.length, global),
      canonicalForm(one, 0, one.length, new Uint8Array(16)),
    );
  });
});

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sharedNextHops } from '../../../../fib/routes/shares.ts';
import { address } from '../../../support/net.ts';

const hop = (ifindex: number, weight?: number) => ({
  ifindex,
  gateway: address(`192.0.2.${ifindex}`),
  weight,
});

describe('fib/routes/shares', () => {
  const weights = (...shares: number[]) =>
    sharedNextHops(shares.map((share, index) => ({ share, nextHops: [hop(index + 1)] }))).map(
      ({ weight }) => weight,
    );

  for (const { name, shares, expected } of [
    { name: '10, 25 and 40 Gbit/s in octets', shares: [1.25e9, 3.125e9, 5e9], expected: [2, 5, 8] },
    { name: 'a quarter', shares: [1.25e9, 5e9], expected: [1, 4] },
    { name: 'whole numbers that come near', shares: [Math.PI, 1], expected: [201, 64] },
    { name: 'far apart: each has some', shares: [1, 1e12], expected: [1, 255] },
    { name: 'none at all beside some', shares: [0, 5e9, 2.5e9], expected: [1, 255, 128] },
    { name: 'all alike', shares: [5e9, 5e9], expected: [1, 1] },
    { name: 'all nothing', shares: [0, 0], expected: [1, 1] },
  ])
    it(`weights: ${name}`, () => assert.deepEqual(weights(...shares), expected));

  it('a way that is found by several next hops is split over them, and ways that meet add up', () => {
    const split = sharedNextHops([
      { share: 2, nextHops: [hop(1, 3), hop(2, 1)] },
      { share: 1, nextHops: [hop(3)] },
    ]);
    assert.deepEqual(
      split.map(({ ifindex, weight }) => [ifindex, weight]),
      [
        [1, 3],
        [2, 1],
        [3, 2],
      ],
    );
    const met = sharedNextHops([
      { share: 1, nextHops: [hop(1)] },
      { share: 2, nextHops: [hop(1)] },
      { share: 1, nextHops: [hop(2)] },
    ]);
    assert.deepEqual(
      met.map(({ ifindex, weight }) => [ifindex, weight]),
      [
        [1, 3],
        [2, 1],
      ],
    );
  });

  it('any shares: weights that a kernel takes, near their proportion', () => {
    const share = fc.double({ min: 1, max: 1e12, noNaN: true });
    fc.assert(
      fc.property(fc.array(share, { minLength: 2, maxLength: 16 }), (shares) => {
        const given = weights(...shares).map((weight) => weight ?? 0);
        assert.ok(given.every((weight) => Number.isInteger(weight) && weight >= 1 && weight <= 255));
        const top = Math.max(...shares);
        const greatest = Math.max(...given);
        for (const [index, each] of shares.entries())
          assert.ok(Math.abs((given[index] ?? 0) / greatest - each / top) <= 1 / 200, `${shares}: ${given}`);
      }),
    );
  });
});

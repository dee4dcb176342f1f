import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
} from '../../../../../bgp/wire/format.ts';
import type { PathAttributes } from '../../../../../bgp/wire/types.ts';
import { parseCommunityPattern } from '../../../../../src/agent/bgp/community-pattern.ts';

const NONE: PathAttributes = { origin: 'igp', asPath: [] };

function matches(pattern: string, attributes: Partial<PathAttributes>): boolean {
  const parsed = parseCommunityPattern(pattern);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error);
  return parsed.matches({ ...NONE, ...attributes });
}

const standard = (high: number, low: number) => ({ communities: [1, ((high << 16) | low) >>> 0] });
const extended = (...values: bigint[]) => ({ extendedCommunities: [1n, ...values] });
/** RFC 4360 3.1, RFC 5668 2, RFC 4360 3.2: the same administrator and number in three forms */
const TWO_OCTETS = 0x0002_fde9_0000_0064n;
const FOUR_OCTETS = 0x0202_0000_fde9_0064n;
const IPV4 = 0x0102_c000_0201_0064n;

describe('community patterns', () => {
  it('standard, with any part open, and by name', () => {
    assert.ok(matches('65001:100', standard(65001, 100)));
    assert.ok(!matches('65001:100', standard(65001, 10)));
    assert.ok(matches('65001:*', standard(65001, 7)));
    assert.ok(matches('*:7', standard(65001, 7)));
    assert.ok(!matches('65001:*', NONE));
    for (const name of ['no-export', 'NO_EXPORT', '65535:65281']) {
      assert.ok(matches(name, standard(0xffff, 0xff01)), name);
    }
    assert.ok(matches('blackhole', standard(65535, 666)));
    assert.ok(matches('graceful-shutdown', standard(65535, 0)));
    assert.ok(matches('local-AS', standard(0xffff, 0xff03)));
  });

  it('large', () => {
    const largeCommunities = [{ global: 4200000001, local1: 0, local2: 4294967295 }];
    for (const pattern of ['4200000001:0:4294967295', '4200000001:*:*', '*:0:*', '*:*:*']) {
      assert.ok(matches(pattern, { largeCommunities }), pattern);
    }
    assert.ok(!matches('4200000001:1:*', { largeCommunities }));
  });

  it('extended: route targets and origins of all three forms; a number means both forms of an AS, with L the longer', () => {
    assert.ok(matches('rt:65001:100', extended(TWO_OCTETS)));
    assert.ok(matches('rt:65001:100', extended(FOUR_OCTETS)));
    assert.ok(!matches('rt:65001L:100', extended(TWO_OCTETS)));
    assert.ok(matches('rt:65001L:100', extended(FOUR_OCTETS)));
    assert.ok(matches('rt:192.0.2.1:100', extended(IPV4)));
    assert.ok(!matches('rt:192.0.2.1:100', extended(TWO_OCTETS, FOUR_OCTETS)));
    for (const value of [TWO_OCTETS, FOUR_OCTETS, IPV4]) assert.ok(matches('RT:*:100', extended(value)));
    assert.ok(matches('rt:65001:*', extended(TWO_OCTETS)));
    assert.ok(!matches('soo:65001:100', extended(TWO_OCTETS, FOUR_OCTETS)));
    assert.ok(matches('soo:65001:4294967295', extended(0x0003_fde9_ffff_ffffn)));
    assert.ok(matches('0x4004fde900000000', extended(0x4004_fde9_0000_0000n)));
    assert.ok(matches('0x1', extended()));
  });

  it('link bandwidths: octets per second, of both types (RFC 10005)', () => {
    // 10 Gbit/s and 0.1 octets per second, as floats.
    const value = 0x4004_fde9_4e95_02f9n;
    const transitive = 0x0004_fde9_3dcc_cccdn;
    assert.deepEqual([value, transitive].map(formatExtendedCommunity), [
      'bandwidth:65001:1250000000',
      'bandwidth-transitive:65001:0.10000000149011612',
    ]);
    for (const pattern of [
      'bandwidth:65001:1250000000',
      'bandwidth:65001:1.25e9',
      'Bandwidth:*:*',
      'bandwidth:65001:*',
    ])
      assert.ok(matches(pattern, extended(value)), pattern);
    assert.ok(matches('bandwidth-transitive:65001:0.1', extended(transitive)));
    for (const pattern of ['bandwidth:65002:*', 'bandwidth:*:1250000512', 'bandwidth-transitive:*:*'])
      assert.ok(!matches(pattern, extended(value)), pattern);
    // Less than nothing, without end, no number: no bandwidth.
    for (const float of [0x8000_0000n, 0xbf80_0000n, 0x7f80_0000n, 0x7fc0_0001n]) {
      assert.match(formatExtendedCommunity(0x4004_fde9_0000_0000n | float), /^0x4004fde9/);
      assert.ok(!matches('bandwidth:*:*', extended(0x4004_fde9_0000_0000n | float)));
    }
  });

  it('what cannot be is refused with a reason', () => {
    for (const [pattern, reason] of [
      ['no-exprot', /no well-known community has this name/],
      ['100', /no well-known/],
      ['65001:65536', /0\.\.65535/],
      ['65001:', /0\.\.65535/],
      ['1:2:4294967296', /0\.\.4294967295/],
      ['1:2:3:4', /expected such as/],
      ['rt:65001', /expected such as/],
      ['rt:65001:1:2', /expected such as/],
      ['rt:AS1:1', /AS number, an IPv4 address or \*/],
      ['', /no well-known/],
      ['bandwidth:65536:1', /AS number of two octets/],
      ['bandwidth:1', /octets per second/],
      ['bandwidth:1:-5', /octets per second/],
      ['bandwidth:1:fast', /octets per second/],
    ] as const) {
      const parsed = parseCommunityPattern(pattern);
      assert.ok(!parsed.ok, pattern);
      assert.match(parsed.error, reason);
      assert.ok(parsed.error.startsWith(`"${pattern}": `));
    }
  });

  it('what is shown of any value can be asked for, and finds it', () => {
    const uint32 = fc.nat(0xffffffff);
    fc.assert(
      fc.property(uint32, (value) => matches(formatCommunity(value), { communities: [value] })),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(fc.record({ global: uint32, local1: uint32, local2: uint32 }), (value) =>
        matches(formatLargeCommunity(value), { largeCommunities: [value] }),
      ),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(anyExtended, (value) =>
        matches(formatExtendedCommunity(value), { extendedCommunities: [value] }),
      ),
      { numRuns: 500 },
    );
  });

  it('two extended communities never look the same', () => {
    fc.assert(
      fc.property(anyExtended, anyExtended, (one, two) => {
        assert.equal(formatExtendedCommunity(one) === formatExtendedCommunity(two), one === two);
      }),
      { numRuns: 2000 },
    );
    assert.deepEqual([TWO_OCTETS, FOUR_OCTETS, IPV4].map(formatExtendedCommunity), [
      'rt:65001:100',
      'rt:65001L:100',
      'rt:192.0.2.1:100',
    ]);
    assert.equal(formatExtendedCommunity(0x0202_fa56_ea01_0064n), 'rt:4200000001:100');
  });
});

/** Close together, so that different values have parts in common. */
const anyExtended: fc.Arbitrary<bigint> = fc
  .tuple(
    fc.constantFrom(0n, 1n, 2n, 3n, 0x40n, 0x43n),
    fc.constantFrom(2n, 3n, 4n),
    fc.constantFrom(0n, 1n, 100n, 65001n),
    fc.constantFrom(0n, 1n, 100n, 65001n),
    fc.constantFrom(0n, 1n, 100n, 65001n),
  )
  .map(([type, subtype, a, b, c]) => (type << 56n) | (subtype << 48n) | (a << 32n) | (b << 16n) | c)
  .chain((value) =>
    fc.oneof(
      fc.constant(value),
      fc.nat(0xffffffff).map((low) => (value & ~0xffffffffn) | BigInt(low)),
    ),
  );

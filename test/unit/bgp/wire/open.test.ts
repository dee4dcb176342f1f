/** Checks of an OPEN that need more than its octets, and capabilities as people read them. */
import assert from 'node:assert/strict';
import { capabilityName, decodeCapability } from '../../../../bgp/wire/capabilities.ts';
import {
  decodeOpen,
  encodeOpen,
  type OpenExpectations,
  openAs,
  validateOpen,
} from '../../../../bgp/wire/open.ts';
import type { Capability } from '../../../../bgp/wire/types.ts';
import { octets } from './support.ts';

function check(capabilities: readonly Capability[], expected: Partial<OpenExpectations>): string {
  const message = encodeOpen({ as: 65001, holdTimeSec: 90, routerId: 1, capabilities });
  const found = validateOpen(decodeOpen(message.subarray(19)), { localAs: 65000, ...expected });
  if (found.ok) return 'ok';
  const { code, subcode, data } = found.error;
  return `${code}/${subcode}${data.length === 0 ? '' : `:${data.toHex()}`}`;
}

const IPV4 = { kind: 'multiprotocol', afi: 1, safi: 1 } as const;
const IPV6 = { kind: 'multiprotocol', afi: 2, safi: 1 } as const;

describe('bgp/wire/open', () => {
  it('RFC 5492 5: a required capability that is absent is 2/7 with it as data', () => {
    assert.equal(check([IPV4], { requiredCapabilities: [IPV4] }), 'ok');
    assert.equal(check([IPV4], { requiredCapabilities: [IPV4, IPV6] }), '2/7:010400020001');
    assert.equal(
      check([], { requiredCapabilities: [{ kind: 'four-octet-as', as: 65000 }] }),
      '2/7:41040000fde8',
    );
    assert.equal(
      check([{ kind: 'four-octet-as', as: 65001 }], {
        requiredCapabilities: [{ kind: 'four-octet-as', as: 65000 }],
      }),
      'ok',
    );
  });

  it('RFC 9234 4.2: roles that do not go together are 2/11', () => {
    const role = (value: number): Capability => ({ kind: 'role', role: value });
    for (const [local, peer] of [
      [0, 3],
      [3, 0],
      [1, 2],
      [2, 1],
      [4, 4],
    ] as const) {
      for (let offered = 0; offered < 6; offered++) {
        const expected = offered === peer ? 'ok' : '2/11';
        assert.equal(check([role(offered)], { role: { local, strict: false } }), expected);
      }
    }
    assert.equal(check([], { role: { local: 3, strict: false } }), 'ok');
    assert.equal(check([], { role: { local: 3, strict: true } }), '2/11');
    assert.equal(check([role(0), role(0)], { role: { local: 3, strict: true } }), 'ok');
    assert.equal(check([role(0), role(3)], { role: { local: 3, strict: true } }), '2/11');
  });

  it('takes any AS but 0 when none is expected', () => {
    assert.equal(check([], {}), 'ok');
    assert.equal(check([], { peerAs: 65002 }), '2/2');
    assert.equal(check([{ kind: 'four-octet-as', as: 0 }], {}), '2/2');
  });

  it('keeps the capabilities before the damage', () => {
    const open = decodeOpen(octets('04fde9005a00000001 0a 02 08 41040000fde9 0109'));
    assert.equal(openAs(open), 65001);
    assert.equal(open.capabilities.length, 1);
    assert.equal(open.parametersError?.error.subcode, 0);
  });

  it('RFC 9072 2: uses the long form above 255 octets of parameters only', () => {
    const value = (length: number): Capability => ({
      kind: 'unknown',
      code: 200,
      value: new Uint8Array(length),
    });
    const head = (capabilities: Capability[]) =>
      encodeOpen({ as: 1, holdTimeSec: 90, routerId: 1, capabilities }).subarray(28, 33).toHex();
    assert.equal(head([value(251)]), 'ff02fdc8fb');
    assert.equal(head([value(252)]), 'ffff010102');
    assert.throws(() => head(Array.from({ length: 17 }, () => value(250))), RangeError);
  });

  for (const [code, length] of [
    [1, 3],
    [2, 1],
    [5, 5],
    [6, 1],
    [9, 2],
    [64, 1],
    [64, 4],
    [65, 2],
    [69, 3],
    [70, 1],
    [71, 6],
  ] as const) {
    it(`capability ${code} cannot be ${length} octets long`, () => {
      assert.equal(decodeCapability(code, new Uint8Array(length)), undefined);
    });
  }

  for (const [code, hex] of [
    [73, '05'],
    [73, '016105'],
    [75, '0561'],
    [75, ''],
  ] as const) {
    it(`capability ${code} '${hex}' only informs: damaged, it is kept as octets`, () => {
      assert.deepEqual(decodeCapability(code, octets(hex)), { kind: 'unknown', code, value: octets(hex) });
    });
  }

  it('names capabilities', () => {
    const name = (code: number, hex: string) => {
      const capability = decodeCapability(code, octets(hex));
      return capability && capabilityName(capability);
    };
    assert.equal(name(1, '00010001'), 'Multiprotocol ipv4-unicast');
    assert.equal(name(1, '00190046'), 'Multiprotocol afi25-safi70');
    assert.equal(
      name(64, 'c078 00010180 00020100'),
      'Graceful Restart 120 s ipv4-unicast(F) ipv6-unicast restarting notification',
    );
    assert.equal(name(5, '000100010002'), 'Extended Next Hop ipv4-unicast/ipv6');
    assert.equal(name(65, 'fa56ea00'), '4-Octet AS 4200000000');
    assert.equal(name(69, '00010103'), 'ADD-PATH ipv4-unicast both');
    assert.equal(name(73, '027231 00'), 'FQDN r1');
    assert.equal(name(75, '03465252'), 'Software Version FRR');
    assert.equal(name(200, '0102'), 'Capability 200 (2 octets)');
  });
});

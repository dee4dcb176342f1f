import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type ConntrackEntry, decodeConntrack } from '../../../../fib/conntrack/message.ts';
import { concerns } from '../../../../fib/conntrack/published-flows.ts';
import { MessageCursor } from '../../../../fib/netlink/reader.ts';
import type { PublishedPort } from '../../../../fib/rules/types.ts';
import { type Address, parseAddress } from '../../../../src/net/address.ts';

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed);
  return parsed;
}

/** As the kernel sent it for a flow from 192.0.2.9:4000 to 192.0.2.1:5353 that was translated to 10.65.0.1:53. */
const SEEN_HEX =
  'a40000000001220001000000604f000002000000340001801400018008000100c000020908000200c0000201' +
  '1c0002800500010011000000060002000fa000000600030014e900003400028014000180080001000a410001' +
  '08000200c00002091c00028005000100110000000600020000350000060003000fa0000008000300000001a8' +
  '080008000000000008000c007a57362808000b0000000001080007000000001c';
const SEEN = Uint8Array.from(Buffer.from(SEEN_HEX, 'hex'));

function entry(target: string, port: number, source: string, sourcePort: number): ConntrackEntry {
  const client = address(target.includes(':') ? '2001:db8::9' : '192.0.2.9');
  return {
    family: client.family,
    original: {
      source: client,
      destination: address(target),
      protocol: 17,
      sourcePort: 4000,
      destinationPort: port,
    },
    reply: { source: address(source), destination: client, protocol: 17, sourcePort, destinationPort: 4000 },
    id: undefined,
  };
}

const MAPPING: PublishedPort = {
  family: 'ipv4',
  protocol: 17,
  hostPort: 5353,
  address: '10.65.0.1',
  port: 53,
};
const OWN = new Set(['192.0.2.1', '127.0.0.1']);

describe('connection tracking', () => {
  it('reads an entry as the kernel writes it', () => {
    const cursor = new MessageCursor(SEEN);
    assert.ok(cursor.next());
    const { id, ...rest } = decodeConntrack(cursor) ?? {};
    assert.deepEqual({ ...rest, id: undefined }, entry('192.0.2.1', 5353, '10.65.0.1', 53));
    assert.deepEqual(id, Uint8Array.of(0x7a, 0x57, 0x36, 0x28));
  });

  it('reads any octets without throwing', () => {
    fc.assert(
      fc.property(fc.nat(SEEN.length - 1), fc.nat(255), fc.nat(SEEN.length), (at, octet, end) => {
        const bytes = Uint8Array.from(SEEN);
        bytes[at] = octet;
        const cursor = new MessageCursor(bytes, 0, end);
        while (cursor.next()) decodeConntrack(cursor);
      }),
    );
  });

  const CASES: readonly { name: string; flow: ConntrackEntry; expected: boolean; hostAddress?: string }[] = [
    { name: 'translated to the workload', flow: entry('192.0.2.1', 5353, '10.65.0.1', 53), expected: true },
    { name: 'translated to another', flow: entry('192.0.2.1', 5353, '10.65.0.2', 53), expected: false },
    { name: 'to another port of it', flow: entry('192.0.2.1', 5353, '10.65.0.1', 54), expected: false },
    { name: 'to this host itself', flow: entry('192.0.2.1', 5353, '192.0.2.1', 5353), expected: true },
    {
      name: 'forwarded to a stranger',
      flow: entry('198.51.100.1', 5353, '198.51.100.1', 5353),
      expected: false,
    },
    { name: 'to another port', flow: entry('192.0.2.1', 53, '10.65.0.1', 53), expected: false },
    {
      name: 'to another host address',
      flow: entry('192.0.2.1', 5353, '10.65.0.1', 53),
      hostAddress: '192.0.2.7',
      expected: false,
    },
  ];
  for (const { name, flow, expected, hostAddress } of CASES) {
    it(`a mapping concerns a flow: ${name}`, () => {
      const mapping = hostAddress === undefined ? MAPPING : { ...MAPPING, hostAddress };
      assert.equal(concerns(flow, mapping, OWN), expected);
    });
  }
});

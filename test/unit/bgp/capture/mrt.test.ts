/** MRT files: messages, tables, path identifiers, damage. */
import assert from 'node:assert/strict';
import type { CapturedMessage, CaptureItem } from '../../../../bgp/capture/messages.ts';
import { formatEndpoint } from '../../../../bgp/capture/mrt.ts';
import { captureFormat, readCapture } from '../../../../bgp/capture/read.ts';
import { DEFAULT_VERDICT_CONTEXT, verdictOf } from '../../../../bgp/wire/verdict.ts';
import { AS_PATH, MANDATORY, NLRI, ORIGIN_IGP, octets, update, updateOf } from '../wire/support.ts';
import { address, be, concat, mrt } from './build.ts';
import { assertSurvivesDamage } from './damage.ts';

const OPTIONS = { port: 179, otherwise: DEFAULT_VERDICT_CONTEXT };
const PEER = address('192.0.2.1').bytes;
const LOCAL = address('192.0.2.9').bytes;
const PEER6 = address('2001:db8::1').bytes;
const UPDATE = octets(update({ attributes: MANDATORY, nlri: NLRI }));

const read = (file: Uint8Array): CaptureItem[] => [...readCapture(file, OPTIONS)];
function only(file: Uint8Array): CapturedMessage {
  const messages = read(file).filter((item) => item.kind === 'message');
  const [first] = messages;
  assert.ok(first !== undefined && messages.length === 1, `${messages.length} messages`);
  return first;
}
const update4 = ({ message, context }: CapturedMessage) => updateOf(verdictOf(message, context));

/** BGP4MP's head with AS numbers of two or four octets. */
const head = (octetsOfAs: 2 | 4, peerAs: number, localAs: number): Uint8Array =>
  concat(be([peerAs, octetsOfAs], [localAs, octetsOfAs], [0, 2], [1, 2]), PEER, LOCAL);
/** A table of two peers: IPv4 with a two-octet AS, IPv6 with a four-octet one. */
const PEERS = mrt(
  13,
  1,
  concat(
    be([0x0a000001, 4], [2, 2], [0x6162, 2], [2, 2]),
    be([0, 1], [1, 4]),
    PEER,
    be([65001, 2], [3, 1], [2, 4]),
    PEER6,
    be([4_200_000_001, 4]),
  ),
);
const entry = (peer: number, attributes: Uint8Array, pathId?: number): Uint8Array =>
  concat(
    be([peer, 2], [50, 4]),
    pathId === undefined ? be() : be([pathId, 4]),
    be([attributes.length, 2]),
    attributes,
  );

describe('bgp/capture: MRT', () => {
  it('BGP4MP messages with AS numbers of two and four octets, microseconds, and our own', () => {
    const as2 = octets(update({ attributes: `${ORIGIN_IGP}4002040201fde9400304c0000201`, nlri: NLRI }));
    const cases = [
      { file: mrt(16, 1, concat(head(2, 65001, 65002), as2)), at: 100_000, as4: false, local: false },
      { file: mrt(16, 4, concat(head(4, 65001, 65002), UPDATE)), at: 100_000, as4: true, local: false },
      {
        file: mrt(17, 4, concat(be([250_001, 4]), head(4, 65001, 65002), UPDATE)),
        at: 100_250.001,
        as4: true,
        local: false,
      },
      { file: mrt(16, 7, concat(head(4, 65002, 65001), UPDATE)), at: 100_000, as4: true, local: true },
      { file: mrt(16, 6, concat(head(2, 65002, 65001), as2)), at: 100_000, as4: false, local: true },
    ];
    for (const { file, at, as4, local } of cases) {
      assert.equal(captureFormat(file), 'mrt');
      const found = only(file);
      assert.equal(found.at, at);
      assert.equal(found.from && formatEndpoint(found.from), local ? '192.0.2.9' : '192.0.2.1');
      assert.equal(found.context.as4, as4);
      assert.deepEqual([found.context.peerKind, found.context.peerAs], ['ebgp', 65001]);
      assert.deepEqual(update4(found).attributes['asPath'], [{ type: 'sequence', asNumbers: [65001] }]);
    }
  });

  it('ADD-PATH subtypes, RFC 8050', () => {
    const message = octets(update({ attributes: MANDATORY, nlri: `00000007${NLRI}` }));
    for (const subtype of [9, 11]) {
      const found = only(mrt(16, subtype, concat(head(4, 65001, 65002), message)));
      assert.deepEqual(update4(found).announced, [
        { prefix: '203.0.113.0/24', pathId: 7, family: 'ipv4-unicast', nextHop: '192.0.2.1' },
      ]);
    }
  });

  it('changes of state and records that are not BGP are told as notes', () => {
    const items = read(
      concat(
        mrt(16, 5, concat(head(4, 1, 2), be([5, 2], [6, 2]))),
        mrt(16, 0, concat(head(2, 1, 2), be([6, 2], [1, 2]))),
        mrt(16, 99, be([1, 4])),
        mrt(48, 0, be([1, 4])),
      ),
    );
    assert.deepEqual(
      items.map((item) => item.kind === 'note' && item.text),
      [
        'OpenConfirm to Established',
        'Established to Idle',
        'a BGP4MP record of subtype 99',
        'a record of type 48, subtype 0, which is not BGP',
      ],
    );
  });

  it('TABLE_DUMP_V2: both families, the short form of MP_REACH_NLRI and the whole one', () => {
    const reach = [`800e1110${PEER6.toHex()}`, `800e1500020110${PEER6.toHex()}00`];
    for (const each of reach) {
      const attributes6 = octets(`${ORIGIN_IGP}${AS_PATH}${each}`);
      const file = concat(
        PEERS,
        mrt(13, 2, concat(be([0, 4], [24, 1]), octets('cb0071'), be([1, 2]), entry(0, octets(MANDATORY)))),
        mrt(
          13,
          4,
          concat(
            be([1, 4], [48, 1]),
            octets('20010db80001'),
            be([2, 2]),
            entry(1, attributes6),
            entry(0, attributes6),
          ),
        ),
      );
      const messages = read(file).filter((item) => item.kind === 'message');
      assert.deepEqual(
        messages.map((item) => [
          item.from && formatEndpoint(item.from),
          item.context.peerAs,
          item.at,
          item.made,
        ]),
        [
          ['192.0.2.1', 65001, 50_000, 'table-entry'],
          ['2001:db8::1', 4_200_000_001, 50_000, 'table-entry'],
          ['192.0.2.1', 65001, 50_000, 'table-entry'],
        ],
      );
      assert.deepEqual(
        messages.map((item) => update4(item).announced[0]),
        [
          { prefix: '203.0.113.0/24', family: 'ipv4-unicast', nextHop: '192.0.2.1' },
          { prefix: '2001:db8:1::/48', family: 'ipv6-unicast', nextHop: '2001:db8::1' },
          { prefix: '2001:db8:1::/48', family: 'ipv6-unicast', nextHop: '2001:db8::1' },
        ],
      );
      assert.ok(messages.every((item) => verdictOf(item.message, item.context).verdict === 'valid'));
    }
  });

  it('TABLE_DUMP_V2 with path identifiers', () => {
    const file = concat(
      PEERS,
      mrt(13, 8, concat(be([0, 4], [24, 1]), octets('cb0071'), be([1, 2]), entry(0, octets(MANDATORY), 9))),
    );
    assert.equal(update4(only(file)).announced[0]?.pathId, 9);
  });

  it('TABLE_DUMP, the old form', () => {
    const attributes = octets(`${ORIGIN_IGP}4002040201fde9400304c0000201`);
    const body = concat(
      be([0, 2], [7, 2]),
      octets('cb007100'),
      be([24, 1], [1, 1], [50, 4]),
      PEER,
      be([65001, 2], [attributes.length, 2]),
      attributes,
    );
    assert.equal(update4(only(mrt(12, 1, body))).announced[0]?.prefix, '203.0.113.0/24');
  });

  it('what cannot be is an error that tells where', () => {
    const route = mrt(
      13,
      2,
      concat(be([0, 4], [24, 1]), octets('cb0071'), be([1, 2]), entry(5, octets(MANDATORY))),
    );
    assert.throws(() => read(route), /routes before the table of peers \(at octet 12\)/);
    assert.throws(
      () => read(concat(PEERS, route)),
      /an entry of peer 5, of which there is none \(at octet \d+\)/,
    );
    assert.throws(() => read(PEERS.subarray(0, -1)), /ends within a record \(at octet 0\)/);
    assert.throws(() => read(mrt(16, 4, be([1, 4], [2, 4], [0, 2], [3, 2]))), /address family 3/);
  });

  it('damage anywhere is a CaptureError or other messages, and nothing else', () => {
    const file = concat(
      PEERS,
      mrt(13, 2, concat(be([0, 4], [24, 1]), octets('cb0071'), be([1, 2]), entry(0, octets(MANDATORY)))),
      mrt(16, 4, concat(head(4, 65001, 65002), UPDATE)),
    );
    assertSurvivesDamage([file], 'mrt');
  });
});

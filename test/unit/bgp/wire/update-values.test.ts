/** The verdict on UPDATE messages by the value of each attribute (RFC 7606 7). Expected results by the text of the RFCs. */
import { AS_PATH, attribute, type Case, MANDATORY, NEXT_HOP, ORIGIN_IGP, verdictTests } from './support.ts';
import { DISCARD, IBGP, OLD, OLD_PATH, only, plus, VALID, WITHDRAW } from './update-support.ts';

const VALUES: readonly Case[] = [
  ...['', '0000'].map((value) => ({
    name: `RFC 7606 7.1: ORIGIN of ${value.length / 2} octets withdraws`,
    hex: only(`${attribute('40', 1, value)}${AS_PATH}${NEXT_HOP}`),
    expect: WITHDRAW,
  })),
  { name: 'RFC 7606 7.1: ORIGIN 3 withdraws', hex: only(`40010103${AS_PATH}${NEXT_HOP}`), expect: WITHDRAW },
  {
    name: 'RFC 4271 4.3: ORIGIN 2',
    hex: only(`40010102${AS_PATH}${NEXT_HOP}`),
    expect: { ...VALID, attributes: { origin: 'incomplete' } },
  },
  ...(
    [
      ['an unknown segment type', '05010000fde9'],
      ['segment type 0', '00010000fde9'],
      ['a segment without members', '0200'],
      ['a segment past the end', '02020000fde9'],
      ['one octet left', '02010000fde902'],
      ['AS number 0 (RFC 7607 2)', '020200 00fde900000000'],
      ['AS_CONFED_SEQUENCE (RFC 5065 5)', '03010000fde9'],
      ['AS_CONFED_SET (RFC 5065 5)', '04010000fde9'],
      ['an empty segment after a good one', '02010000fde90100'],
    ] as const
  ).flatMap(([what, value]) =>
    [{}, IBGP].map((context) => ({
      name: `RFC 7606 7.2: AS_PATH with ${what} withdraws (${'peerKind' in context ? 'ibgp' : 'ebgp'})`,
      hex: only(`${ORIGIN_IGP}${attribute('40', 2, value)}${NEXT_HOP}`),
      context,
      expect: WITHDRAW,
    })),
  ),
  {
    name: 'RFC 7606 4: AS_PATH may be empty',
    hex: only(`${ORIGIN_IGP}400200${NEXT_HOP}`),
    context: IBGP,
    expect: { ...VALID, attributes: { asPath: [] } },
  },
  {
    name: 'RFC 4271 6.3: the first AS is not checked unless asked for',
    hex: only(`${ORIGIN_IGP}4002060201 0000fdea${NEXT_HOP}`),
    expect: VALID,
  },
  {
    name: 'RFC 4271 6.3: another first AS withdraws when it is enforced',
    hex: only(`${ORIGIN_IGP}4002060201 0000fdea${NEXT_HOP}`),
    context: { enforceFirstAs: true },
    expect: WITHDRAW,
  },
  {
    name: 'RFC 4271 6.3: the right first AS passes when it is enforced',
    hex: only(MANDATORY),
    context: { enforceFirstAs: true },
    expect: VALID,
  },
  {
    name: 'RFC 4271 4.3: an AS_SET',
    hex: only(`${ORIGIN_IGP}40020c02010000fde901010000fdea${NEXT_HOP}`),
    expect: {
      ...VALID,
      attributes: {
        asPath: [
          { type: 'sequence', asNumbers: [65001] },
          { type: 'set', asNumbers: [65002] },
        ],
      },
    },
  },
  {
    name: 'RFC 9774 3: an AS_SET withdraws when sets are rejected',
    hex: only(`${ORIGIN_IGP}40020c02010000fde901010000fdea${NEXT_HOP}`),
    context: { rejectAsSets: true },
    expect: WITHDRAW,
  },
  ...['', 'c00002', 'c000020101'].map((value) => ({
    name: `RFC 7606 7.3: NEXT_HOP of ${value.length / 2} octets withdraws`,
    hex: only(`${ORIGIN_IGP}${AS_PATH}${attribute('40', 3, value)}`),
    expect: WITHDRAW,
  })),
  ...['00000000', '00000001', '7f000001', 'e0000001', 'efffffff', 'f0000001', 'ffffffff'].map((value) => ({
    name: `RFC 4271 6.3: NEXT_HOP ${value} is no host and withdraws`,
    hex: only(`${ORIGIN_IGP}${AS_PATH}${attribute('40', 3, value)}`),
    expect: WITHDRAW,
  })),
  ...['', '000001', '0000000001'].map((value) => ({
    name: `RFC 7606 7.4: MULTI_EXIT_DISC of ${value.length / 2} octets withdraws`,
    hex: plus(attribute('80', 4, value)),
    expect: WITHDRAW,
  })),
  {
    name: 'RFC 7606 7.4: MULTI_EXIT_DISC',
    hex: plus(attribute('80', 4, 'ffffffff')),
    expect: { ...VALID, attributes: { med: 0xffffffff } },
  },
  ...['00000064', '64', ''].map((value) => ({
    name: `RFC 7606 7.5: LOCAL_PREF '${value}' from an external peer is discarded`,
    hex: plus(attribute('40', 5, value)),
    expect: { ...DISCARD, without: ['localPref'] },
  })),
  ...['', '000064', '0000000064'].map((value) => ({
    name: `RFC 7606 7.5: LOCAL_PREF of ${value.length / 2} octets from an internal peer withdraws`,
    hex: plus(attribute('40', 5, value)),
    context: IBGP,
    expect: WITHDRAW,
  })),
  {
    name: 'RFC 4271 5.1.5: LOCAL_PREF from an internal peer',
    hex: plus(attribute('40', 5, '000000c8')),
    context: IBGP,
    expect: { ...VALID, attributes: { localPref: 200 } },
  },
  {
    name: 'RFC 7606 7.6: ATOMIC_AGGREGATE with a value is discarded',
    hex: plus(attribute('40', 6, '00')),
    expect: { ...DISCARD, without: ['atomicAggregate'] },
  },
  {
    name: 'RFC 4271 5.1.6: ATOMIC_AGGREGATE',
    hex: plus('400600'),
    expect: { ...VALID, attributes: { atomicAggregate: true } },
  },
  ...['', 'fde9c0000201', '0000fde9c000020100'].map((value) => ({
    name: `RFC 7606 7.7: AGGREGATOR of ${value.length / 2} octets with 4-octet numbers is discarded`,
    hex: plus(attribute('c0', 7, value)),
    expect: { ...DISCARD, without: ['aggregator'] },
  })),
  {
    name: 'RFC 7606 7.7: AGGREGATOR of 8 octets with 2-octet numbers is discarded',
    hex: only(`${ORIGIN_IGP}${OLD_PATH}${NEXT_HOP}${attribute('c0', 7, '0000fde9c0000201')}`),
    context: OLD,
    expect: { ...DISCARD, without: ['aggregator'] },
  },
  {
    name: 'RFC 7607 2: AGGREGATOR with AS number 0 is discarded',
    hex: plus(attribute('c0', 7, '00000000c0000201')),
    expect: { ...DISCARD, without: ['aggregator'] },
  },
  ...['', '0001', 'fde90001ff'].map((value) => ({
    name: `RFC 7606 7.8: COMMUNITIES of ${value.length / 2} octets withdraws`,
    hex: plus(attribute('c0', 8, value)),
    expect: WITHDRAW,
  })),
  {
    name: 'RFC 1997: communities in the order received, Partial as received',
    hex: plus(attribute('e0', 8, 'ffffff01fde90001')),
    expect: { ...VALID, attributes: { communities: ['65535:65281', '65001:1'] } },
  },
  ...[9, 10].flatMap((code) => [
    {
      name: `RFC 7606 7.9, 7.10: attribute ${code} from an external peer is discarded`,
      hex: plus(attribute('80', code, 'c0')),
      expect: { ...DISCARD, without: ['originatorId', 'clusterList'] },
    },
    ...['', 'c00002', 'c000020101'].map((value) => ({
      name: `RFC 7606 7.9, 7.10: attribute ${code} of ${value.length / 2} octets from an internal peer withdraws`,
      hex: plus(attribute('80', code, value)),
      context: IBGP,
      expect: WITHDRAW,
    })),
  ]),
  {
    name: 'RFC 7606 7.9: ORIGINATOR_ID of 8 octets withdraws',
    hex: plus(attribute('80', 9, 'c0000201c0000202')),
    context: IBGP,
    expect: WITHDRAW,
  },
  {
    name: 'RFC 4456 8: ORIGINATOR_ID and CLUSTER_LIST',
    hex: plus(`${attribute('80', 9, 'c0000201')}${attribute('80', 10, 'c0000202c0000203')}`),
    context: IBGP,
    expect: {
      ...VALID,
      attributes: { originatorId: '192.0.2.1', clusterList: ['192.0.2.2', '192.0.2.3'] },
    },
  },
  ...(
    [
      [16, '0002fde9000000', '7.14'],
      [16, '', '7.14'],
      [25, '00'.repeat(19), '7.15'],
      [25, '', '7.15'],
    ] as const
  ).map(([code, value, section]) => ({
    name: `RFC 7606 ${section}: attribute ${code} of ${value.length / 2} octets withdraws`,
    hex: plus(attribute('c0', code, value)),
    expect: WITHDRAW,
  })),
  ...['', '0000fde900000001000000', '00'.repeat(13)].map((value) => ({
    name: `RFC 8092 6: LARGE_COMMUNITY of ${value.length / 2} octets withdraws`,
    hex: plus(attribute('c0', 32, value)),
    expect: WITHDRAW,
  })),
  {
    name: 'RFC 8092 5: redundant large communities are removed',
    hex: plus(
      attribute('c0', 32, `0000fde90000000100000002${'00'.repeat(11)}07${'0000fde90000000100000002'}`),
    ),
    expect: { ...VALID, attributes: { largeCommunities: ['65001:1:2', '0:0:7'] } },
  },
  {
    name: 'RFC 4360 2: extended communities of unknown types are fine',
    hex: plus(attribute('c0', 16, '0002fde900000001ee11223344556677')),
    expect: { ...VALID, attributes: { extendedCommunities: ['rt:65001:1', '0xee11223344556677'] } },
  },
  ...['', '0000fd', '0000fde900'].map((value) => ({
    name: `RFC 9234 5: ONLY_TO_CUSTOMER of ${value.length / 2} octets withdraws`,
    hex: plus(attribute('c0', 35, value)),
    expect: WITHDRAW,
  })),
  {
    name: 'RFC 9234 5: ONLY_TO_CUSTOMER',
    hex: plus(attribute('c0', 35, '0000fde9')),
    expect: { ...VALID, attributes: { onlyToCustomer: 65001 } },
  },
  ...['', '01', '0100', '01000400', '01000c000000000000000000', '010002'].map((value) => ({
    name: `RFC 7311 3: AIGP '${value}' is malformed and discarded`,
    hex: plus(attribute('80', 26, value)),
    expect: { ...DISCARD, without: ['unknown'] },
  })),
  {
    name: 'RFC 7311 3.2: a good AIGP is ignored',
    hex: plus(attribute('80', 26, '01000b0000000000000064')),
    expect: { ...VALID, without: ['unknown'] },
  },
  {
    name: 'RFC 7311 3.1: AIGP with the transitive bit is discarded',
    hex: plus(attribute('c0', 26, '01000b0000000000000064')),
    expect: { ...DISCARD, without: ['unknown'] },
  },
  ...['', '0100', '01000700'].map((value) => ({
    name: `RFC 8669 6: Prefix-SID '${value}' is malformed and discarded`,
    hex: plus(attribute('c0', 40, value)),
    expect: { ...DISCARD, without: ['unknown'] },
  })),
];

describe('wire verdict: UPDATE', () => {
  describe('values', () => verdictTests(VALUES));
});

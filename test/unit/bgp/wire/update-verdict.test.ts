/** The verdict on UPDATE messages, cell by cell of RFC 7606. Expected results by the text of the RFCs. */
import {
  AS_PATH,
  attribute,
  type Case,
  MANDATORY,
  MARKER,
  MP_REACH,
  MP_REACH_HEAD,
  NEXT_HOP,
  NLRI,
  NLRI6,
  ORIGIN_IGP,
  OTHER_NLRI,
  update,
  verdictTests,
} from './support.ts';

const PREFIX = '203.0.113.0/24';
const ROUTE = `${PREFIX} via 192.0.2.1`;
const ROUTE6 = '2001:db8:1::/48 via 2001:db8::1';
const VALID = { verdict: 'valid', announced: [ROUTE] } as const;
const WITHDRAW = { verdict: 'treat-as-withdraw', withdrawn: [PREFIX] } as const;
const DISCARD = { verdict: 'attr-discard', announced: [ROUTE] } as const;
const IBGP = { peerKind: 'ibgp', localAs: 65001 } as const;
const OLD = { as4: false } as const;
/** one sequence of 2-octet numbers: 65001 */
const OLD_PATH = '4002040201fde9';

/** An UPDATE for 203.0.113.0/24 with the mandatory attributes and these. */
function plus(attributes: string): string {
  return update({ attributes: `${MANDATORY}${attributes}`, nlri: NLRI });
}

/** The same with these instead of the mandatory ones. */
function only(attributes: string): string {
  return update({ attributes, nlri: NLRI });
}

const GOOD: readonly Case[] = [
  { name: 'RFC 4271 4.3: the mandatory attributes and a prefix', hex: only(MANDATORY), expect: VALID },
  {
    name: 'RFC 4271 5: attributes in any order',
    hex: only(`${NEXT_HOP}${AS_PATH}${ORIGIN_IGP}`),
    expect: VALID,
  },
  {
    name: 'RFC 4271 4.3: Extended Length on a short attribute',
    hex: only(`5001000100${AS_PATH}${NEXT_HOP}`),
    expect: { ...VALID, attributes: { origin: 'igp' } },
  },
  {
    name: 'RFC 7606 3(c): Partial and the low four bits are not looked at',
    hex: only(`6f010100${AS_PATH}${NEXT_HOP}`),
    expect: VALID,
  },
  {
    name: 'RFC 4271 4.3: withdrawn routes alone',
    hex: update({ withdrawn: NLRI }),
    expect: { verdict: 'valid', withdrawn: [PREFIX] },
  },
  {
    name: 'RFC 4271 4.3: 0.0.0.0/0 and a /32',
    hex: update({ attributes: MANDATORY, nlri: '00 20c0000263' }),
    expect: { verdict: 'valid', announced: ['0.0.0.0/0 via 192.0.2.1', '192.0.2.99/32 via 192.0.2.1'] },
  },
  {
    name: 'RFC 4271 4.3: trailing bits of a prefix are ignored',
    hex: update({ attributes: MANDATORY, nlri: '14 cb007f' }),
    expect: { verdict: 'valid', announced: ['203.0.112.0/20 via 192.0.2.1'] },
  },
  {
    name: 'RFC 4271 4.3: a prefix withdrawn and announced is announced',
    hex: update({ withdrawn: `${OTHER_NLRI}${NLRI}`, attributes: MANDATORY, nlri: NLRI }),
    expect: { verdict: 'valid', announced: [ROUTE], withdrawn: ['198.51.100.0/24'] },
  },
  {
    name: 'RFC 4760 3: IPv6 by MP_REACH_NLRI',
    hex: update({ attributes: `${MP_REACH}${ORIGIN_IGP}${AS_PATH}` }),
    expect: { verdict: 'valid', announced: [ROUTE6] },
  },
  {
    name: 'RFC 7606 5.1: MP_REACH_NLRI last, beside body NLRI and withdrawn routes',
    hex: update({ withdrawn: OTHER_NLRI, attributes: `${MANDATORY}${MP_REACH}`, nlri: NLRI }),
    expect: { verdict: 'valid', announced: [ROUTE, ROUTE6], withdrawn: ['198.51.100.0/24'] },
  },
  {
    name: 'RFC 4760 4: IPv6 by MP_UNREACH_NLRI',
    hex: update({ attributes: attribute('80', 15, `000201${NLRI6}`) }),
    expect: { verdict: 'valid', withdrawn: ['2001:db8:1::/48'] },
  },
  {
    name: 'RFC 4760 3: NEXT_HOP beside MP_REACH_NLRI alone is ignored',
    hex: update({ attributes: `${MP_REACH}${ORIGIN_IGP}${AS_PATH}40030400000000` }),
    expect: { verdict: 'valid', announced: [ROUTE6] },
  },
  {
    name: 'RFC 4760 3: IPv4 in MP_REACH_NLRI',
    hex: update({
      attributes: `${attribute('80', 14, `0001 01 04 c0000201 00 ${NLRI}`)}${ORIGIN_IGP}${AS_PATH}`,
    }),
    expect: VALID,
  },
  {
    name: 'RFC 2545 3: a global and a link-local next hop',
    hex: update({
      attributes: `${attribute(
        '80',
        14,
        `0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00 ${NLRI6}`,
      )}${ORIGIN_IGP}${AS_PATH}`,
    }),
    expect: {
      verdict: 'valid',
      announced: [ROUTE6],
      attributes: { nextHop: '2001:db8::1', linkLocalNextHop: 'fe80::1' },
    },
  },
  {
    name: 'RFC 2545 3: a link-local next hop alone',
    hex: update({
      attributes: `${attribute('80', 14, `0002 01 10 fe800000000000000000000000000001 00 ${NLRI6}`)}${ORIGIN_IGP}${AS_PATH}`,
    }),
    expect: { verdict: 'valid', announced: ['2001:db8:1::/48 via fe80::1'] },
  },
  {
    name: 'RFC 2545 3: :: and a link-local next hop leave the link-local one',
    hex: update({
      attributes: `${attribute(
        '80',
        14,
        `0002 01 20 ${'00'.repeat(16)} fe800000000000000000000000000001 00 ${NLRI6}`,
      )}${ORIGIN_IGP}${AS_PATH}`,
    }),
    expect: { verdict: 'valid', announced: ['2001:db8:1::/48 via fe80::1'], without: ['linkLocalNextHop'] },
  },
  {
    name: 'RFC 8950 3: IPv4 with an IPv6 next hop',
    hex: update({
      attributes: `${attribute('80', 14, `0001 01 10 20010db8000000000000000000000001 00 ${NLRI}`)}${ORIGIN_IGP}${AS_PATH}`,
    }),
    context: { extendedNextHop: true },
    expect: { verdict: 'valid', announced: [`${PREFIX} via 2001:db8::1`] },
  },
  {
    name: 'RFC 7911 3: path identifiers, 0 among them',
    hex: update({ withdrawn: `00000007${NLRI}`, attributes: MANDATORY, nlri: `00000000${NLRI}` }),
    context: { addPathReceive: { ipv4: true, ipv6: false } },
    expect: { verdict: 'valid', announced: [`${PREFIX}#0 via 192.0.2.1`], withdrawn: [`${PREFIX}#7`] },
  },
  {
    name: 'RFC 7911 3: path identifiers in MP_REACH_NLRI',
    hex: update({
      attributes: `${attribute('80', 14, `${MP_REACH_HEAD}ffffffff${NLRI6}`)}${ORIGIN_IGP}${AS_PATH}`,
    }),
    context: { addPathReceive: { ipv4: false, ipv6: true } },
    expect: { verdict: 'valid', announced: ['2001:db8:1::/48#4294967295 via 2001:db8::1'] },
  },
  {
    name: 'RFC 4760 6: a family that we do not know is ignored intact',
    hex: update({
      attributes: `${MANDATORY}${attribute('80', 14, '0019 46 04 c0000209 00 ffffff')}${attribute('80', 15, '0001 80 ffff')}`,
      nlri: NLRI,
    }),
    expect: VALID,
  },
  {
    name: 'RFC 4760 6: IPv6 that was not negotiated is ignored intact',
    hex: update({ attributes: `${MANDATORY}${attribute('80', 14, `${MP_REACH_HEAD}ffff`)}`, nlri: NLRI }),
    context: { families: { ipv4: true, ipv6: false } },
    expect: VALID,
  },
  {
    name: 'RFC 4760 6: IPv4 that was not negotiated is ignored intact',
    hex: update({ withdrawn: 'ff', attributes: MANDATORY, nlri: '21ff' }),
    context: { families: { ipv4: false, ipv6: true } },
    expect: { verdict: 'valid', announced: [], withdrawn: [] },
  },
  {
    name: 'RFC 4760 6: IPv4 that was not negotiated needs no NEXT_HOP',
    hex: only(`${ORIGIN_IGP}${AS_PATH}`),
    context: { families: { ipv4: false, ipv6: true } },
    expect: { verdict: 'valid', announced: [], withdrawn: [] },
  },
  {
    name: 'RFC 4724 2: End-of-RIB of IPv4',
    hex: `${MARKER}00170200000000`,
    expect: { verdict: 'valid', announced: [], withdrawn: [] },
  },
  {
    name: 'RFC 4724 2: End-of-RIB of IPv6',
    hex: update({ attributes: '800f03000201' }),
    expect: { verdict: 'valid', announced: [], withdrawn: [] },
  },
];

const FRAMING: readonly Case[] = [
  {
    name: 'RFC 7606 3(b): withdrawn length past the message is 3/1',
    hex: `${MARKER}0017020001 0000`,
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 3(b): attribute length past the message is 3/1',
    hex: `${MARKER}0017020000 0001`,
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 4: an attribute past the attributes withdraws, NLRI found by the total length',
    hex: only(`${MANDATORY}c008ff00`),
    expect: WITHDRAW,
  },
  ...['40', '4008', '5008', '500800'].map((rest) => ({
    name: `RFC 7606 4: ${rest} left over withdraws`,
    hex: only(`${MANDATORY}${rest}`),
    expect: WITHDRAW,
  })),
  {
    name: 'RFC 7606 4: an attribute cut short before its mandatory companions withdraws',
    hex: only('40010500'),
    expect: WITHDRAW,
  },
  {
    name: 'RFC 7606 5.2: left-over octets in a message without reachable NLRI are 3/1',
    hex: update({ withdrawn: NLRI, attributes: '4001' }),
    expect: { verdict: 'session-reset', error: '3/1', announced: [], withdrawn: [] },
  },
  {
    name: 'RFC 7606 3(j): an MP_REACH_NLRI past the attributes cannot be withdrawn: 3/1',
    hex: only(`${MANDATORY}800eff000201`),
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 5.3: a prefix above 32 bits is 3/10',
    hex: update({ attributes: MANDATORY, nlri: '21c0000201ff' }),
    expect: { verdict: 'session-reset', error: '3/10' },
  },
  {
    name: 'RFC 7606 5.3: a prefix past the end is 3/10',
    hex: update({ attributes: MANDATORY, nlri: '18cb00' }),
    expect: { verdict: 'session-reset', error: '3/10' },
  },
  {
    name: 'RFC 7606 3(i): withdrawn routes are checked likewise: bits',
    hex: update({ withdrawn: '21c0000201ff' }),
    expect: { verdict: 'session-reset', error: '3/10' },
  },
  {
    name: 'RFC 7606 3(i): withdrawn routes are checked likewise: octets',
    hex: update({ withdrawn: '18cb00' }),
    expect: { verdict: 'session-reset', error: '3/10' },
  },
  {
    name: 'RFC 7911 3: a path identifier without a prefix is 3/10',
    hex: update({ attributes: MANDATORY, nlri: '00000001' }),
    context: { addPathReceive: { ipv4: true, ipv6: false } },
    expect: { verdict: 'session-reset', error: '3/10' },
  },
  {
    name: 'RFC 7606 3(h): a reset outweighs a withdraw',
    hex: update({ attributes: `40010103${AS_PATH}${NEXT_HOP}`, nlri: '21c0000201ff' }),
    expect: { verdict: 'session-reset', error: '3/10' },
  },
  {
    name: 'RFC 7606 3(h): a withdraw outweighs a discard',
    hex: plus(`${attribute('40', 6, '00')}${attribute('80', 4, '00')}`),
    expect: WITHDRAW,
  },
  {
    name: 'RFC 7606 2: a withdraw takes the withdrawn routes, the body NLRI and MP_REACH_NLRI',
    hex: update({
      withdrawn: OTHER_NLRI,
      attributes: `${MP_REACH}40010103${AS_PATH}${NEXT_HOP}`,
      nlri: NLRI,
    }),
    expect: { verdict: 'treat-as-withdraw', withdrawn: ['198.51.100.0/24', PREFIX, '2001:db8:1::/48'] },
  },
];

/** Code, name, right flags, right value. */
const KNOWN: readonly (readonly [number, string, string, string])[] = [
  [1, 'ORIGIN', '40', '00'],
  [2, 'AS_PATH', '40', '02010000fde9'],
  [3, 'NEXT_HOP', '40', 'c0000201'],
  [4, 'MULTI_EXIT_DISC', '80', '00000001'],
  [5, 'LOCAL_PREF', '40', '00000064'],
  [6, 'ATOMIC_AGGREGATE', '40', ''],
  [7, 'AGGREGATOR', 'c0', '0000fde9c0000201'],
  [8, 'COMMUNITIES', 'c0', 'fde90001'],
  [9, 'ORIGINATOR_ID', '80', 'c0000201'],
  [10, 'CLUSTER_LIST', '80', 'c0000201'],
  [16, 'EXTENDED COMMUNITIES', 'c0', '0002fde900000001'],
  [25, 'IPv6 EXTENDED COMMUNITIES', 'c0', '00'.repeat(20)],
  [32, 'LARGE_COMMUNITY', 'c0', '0000fde90000000100000002'],
  [35, 'ONLY_TO_CUSTOMER', 'c0', '0000fde9'],
];

function flagCases(): Case[] {
  const cases: Case[] = [];
  for (const [code, name, flags, value] of KNOWN) {
    const right = Number.parseInt(flags, 16);
    const others = code <= 3 ? MANDATORY.replace(attribute(flags, code, value), '') : MANDATORY;
    for (const wrong of [right ^ 0x80, right ^ 0x40, right ^ 0xc0]) {
      cases.push({
        name: `RFC 7606 3(c): ${name} with flags ${wrong.toString(16)} withdraws`,
        hex: only(`${others}${attribute(wrong.toString(16).padStart(2, '0'), code, value)}`),
        context: IBGP,
        expect: WITHDRAW,
      });
    }
  }
  return cases;
}

function duplicateCases(): Case[] {
  return KNOWN.map(([code, name, flags, value]) => ({
    name: `RFC 7606 3(g): a second ${name} is discarded unread`,
    hex: only(
      `${code <= 3 ? MANDATORY : MANDATORY + attribute(flags, code, value)}${attribute('00', code, 'ffff')}`,
    ),
    context: IBGP,
    expect: DISCARD,
  }));
}

const RULES: readonly Case[] = [
  {
    name: 'RFC 7606 3(g): the first of two values counts',
    hex: plus(`${attribute('80', 4, '00000001')}${attribute('80', 4, '00000002')}`),
    expect: { ...DISCARD, attributes: { med: 1 } },
  },
  {
    name: 'RFC 7606 3(g): a second unknown attribute is discarded',
    hex: plus(`${attribute('c0', 99, '01')}${attribute('c0', 99, '02')}`),
    expect: { ...DISCARD, attributes: { unknown: [{ code: 99, flags: 0xe0, value: '01' }] } },
  },
  {
    name: 'RFC 7606 3(g): two MP_REACH_NLRI are 3/1',
    hex: update({ attributes: `${MP_REACH}${MP_REACH}${ORIGIN_IGP}${AS_PATH}` }),
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 3(g): two MP_UNREACH_NLRI are 3/1',
    hex: update({ attributes: '800f03000201800f03000201' }),
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 3(d): without ORIGIN',
    hex: only(`${AS_PATH}${NEXT_HOP}`),
    expect: WITHDRAW,
  },
  {
    name: 'RFC 7606 3(d): without AS_PATH',
    hex: only(`${ORIGIN_IGP}${NEXT_HOP}`),
    expect: WITHDRAW,
  },
  {
    name: 'RFC 7606 3(d): without NEXT_HOP for body NLRI',
    hex: only(`${ORIGIN_IGP}${AS_PATH}`),
    expect: WITHDRAW,
  },
  { name: 'RFC 7606 3(d): NLRI without any attribute', hex: only(''), expect: WITHDRAW },
  {
    name: 'RFC 7606 3(d): MP_REACH_NLRI without ORIGIN',
    hex: update({ attributes: `${MP_REACH}${AS_PATH}` }),
    expect: { verdict: 'treat-as-withdraw', withdrawn: ['2001:db8:1::/48'] },
  },
  {
    name: 'RFC 4271 5: mandatory only where NLRI is announced',
    hex: update({ withdrawn: NLRI, attributes: ORIGIN_IGP }),
    expect: { verdict: 'valid', withdrawn: [PREFIX] },
  },
  {
    name: 'LOCAL_PREF missing from an internal peer is no error',
    hex: only(MANDATORY),
    context: IBGP,
    expect: VALID,
  },
  {
    name: 'RFC 7606 5.2: a withdraw without reachable NLRI is 3/1',
    hex: update({ withdrawn: NLRI, attributes: '40010103' }),
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 5.2: a withdraw with MP_UNREACH_NLRI alone is 3/1',
    hex: update({ attributes: `${attribute('80', 15, `000201${NLRI6}`)}40010103` }),
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 5.2: an MP_REACH_NLRI without NLRI is none',
    hex: update({ attributes: `${attribute('80', 14, MP_REACH_HEAD)}40010103${AS_PATH}` }),
    expect: { verdict: 'session-reset', error: '3/1' },
  },
  {
    name: 'RFC 7606 5.2: attribute discard without reachable NLRI stays one',
    hex: update({ withdrawn: NLRI, attributes: attribute('40', 6, '00') }),
    expect: { verdict: 'attr-discard', withdrawn: [PREFIX] },
  },
  {
    name: 'RFC 4271 6.3: an unknown well-known attribute is 3/2 with it as data',
    hex: plus(attribute('40', 99, 'abcd')),
    expect: { verdict: 'session-reset', error: '3/2:406302abcd' },
  },
  {
    name: 'RFC 4271 6.3: Optional clear and Transitive clear is unknown well-known too',
    hex: plus(attribute('00', 99, '')),
    expect: { verdict: 'session-reset', error: '3/2:006300' },
  },
  {
    name: 'RFC 4271 5: unknown optional transitive is kept, with Partial',
    hex: plus(attribute('c0', 99, 'abcd')),
    expect: { ...VALID, attributes: { unknown: [{ code: 99, flags: 0xe0, value: 'abcd' }] } },
  },
  {
    name: 'RFC 4271 5: unknown optional non-transitive is ignored',
    hex: plus(attribute('80', 99, 'abcd')),
    expect: { ...VALID, without: ['unknown'] },
  },
];

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

const MULTIPROTOCOL: readonly Case[] = [
  ...['', '0002', '000201', '00020100'].map((value) => ({
    name: `RFC 7606 5.3: MP_REACH_NLRI of ${value.length / 2} octets is 3/9 with it as data`,
    hex: plus(attribute('80', 14, value)),
    expect: { verdict: 'session-reset', error: `3/9:${attribute('80', 14, value)}` } as const,
  })),
  {
    name: 'RFC 7606 7.11: a next hop past the end of MP_REACH_NLRI is 3/9',
    hex: plus(attribute('80', 14, '0002 01 10 20010db8'.replaceAll(' ', ''))),
    expect: { verdict: 'session-reset', error: '3/9:800e080002011020010db8' },
  },
  {
    name: 'RFC 7606 7.11: a next hop that leaves no reserved octet is 3/9',
    hex: plus(attribute('80', 14, '00190101ff')),
    expect: { verdict: 'session-reset', error: '3/9:800e0500190101ff' },
  },
  ...[0, 4, 8, 15, 17, 24, 31, 33].map((length) => ({
    name: `RFC 7606 7.11: an IPv6 next hop of ${length} octets is 3/9`,
    hex: plus(
      attribute('80', 14, `000201${length.toString(16).padStart(2, '0')}${'20'.repeat(length)}00${NLRI6}`),
    ),
    expect: {
      verdict: 'session-reset',
      error: `3/9:${attribute('80', 14, `000201${length.toString(16).padStart(2, '0')}${'20'.repeat(length)}00${NLRI6}`)}`,
    } as const,
  })),
  ...[16, 32].map((length) => ({
    name: `RFC 8950 3: an IPv4 next hop of ${length} octets that was not negotiated is 3/9`,
    hex: plus(attribute('80', 14, `000101${length.toString(16)}${'20'.repeat(length)}00${NLRI}`)),
    expect: {
      verdict: 'session-reset',
      error: `3/9:${attribute('80', 14, `000101${length.toString(16)}${'20'.repeat(length)}00${NLRI}`)}`,
    } as const,
  })),
  {
    name: 'RFC 7606 5.3: an IPv6 prefix above 128 bits is 3/9',
    hex: plus(attribute('80', 15, `00020181${'20'.repeat(17)}`)),
    expect: { verdict: 'session-reset', error: `3/9:${attribute('80', 15, `00020181${'20'.repeat(17)}`)}` },
  },
  {
    name: 'RFC 7606 5.3: an IPv6 prefix past the end of MP_REACH_NLRI is 3/9',
    hex: plus(attribute('80', 14, `${MP_REACH_HEAD.replaceAll(' ', '')}40200100`)),
    expect: {
      verdict: 'session-reset',
      error: `3/9:${attribute('80', 14, `${MP_REACH_HEAD.replaceAll(' ', '')}40200100`)}`,
    },
  },
  ...['', '00', '0002'].map((value) => ({
    name: `RFC 7606 5.3: MP_UNREACH_NLRI of ${value.length / 2} octets is 3/9`,
    hex: plus(attribute('80', 15, value)),
    expect: { verdict: 'session-reset', error: `3/9:${attribute('80', 15, value)}` } as const,
  })),
  ...(['00', '40', 'c0'] as const).flatMap((flags) => [
    {
      name: `RFC 7606 5.3: MP_REACH_NLRI with flags ${flags} is incorrect: 3/9`,
      hex: plus(attribute(flags, 14, `${MP_REACH_HEAD}${NLRI6}`)),
      expect: {
        verdict: 'session-reset',
        error: `3/9:${attribute(flags, 14, `${MP_REACH_HEAD}${NLRI6}`)}`,
      } as const,
    },
    {
      name: `RFC 7606 5.3: MP_UNREACH_NLRI with flags ${flags} is incorrect: 3/9`,
      hex: plus(attribute(flags, 15, '000201')),
      expect: { verdict: 'session-reset', error: `3/9:${attribute(flags, 15, '000201')}` } as const,
    },
  ]),
  ...['00'.repeat(16), `${'00'.repeat(15)}01`, `ff02${'00'.repeat(13)}01`].map((nextHop) => ({
    name: `RFC 4271 6.3: IPv6 next hop ${nextHop} is no host and withdraws`,
    hex: update({
      attributes: `${attribute('80', 14, `00020110${nextHop}00${NLRI6}`)}${ORIGIN_IGP}${AS_PATH}`,
    }),
    expect: { verdict: 'treat-as-withdraw', withdrawn: ['2001:db8:1::/48'] } as const,
  })),
  {
    name: 'RFC 4760 7: a short MP_REACH_NLRI of an unknown family resets as well',
    hex: plus(attribute('80', 14, '001946ff')),
    expect: { verdict: 'session-reset', error: '3/9:800e04001946ff' },
  },
];

/** Sequences, given as JSON shows them. */
function sequence(...asNumbers: number[]): { type: string; asNumbers: number[] }[] {
  return [{ type: 'sequence', asNumbers }];
}

const AS4 = attribute('c0', 17, '02020000fde9fa56ea00');

const FOUR_OCTET_AS: readonly Case[] = [
  {
    name: 'RFC 6793 4.2.3: a path of 2-octet numbers',
    hex: only(`${ORIGIN_IGP}${OLD_PATH}${NEXT_HOP}`),
    context: OLD,
    expect: { ...VALID, attributes: { asPath: sequence(65001) } },
  },
  {
    name: 'RFC 6793 4.2.3: AS4_PATH as long as AS_PATH replaces it',
    hex: only(`${ORIGIN_IGP}4002060202fde95ba0${NEXT_HOP}${AS4}`),
    context: OLD,
    expect: { ...VALID, attributes: { asPath: sequence(65001, 4200000000) }, without: ['unknown'] },
  },
  {
    name: 'RFC 6793 4.2.3: a longer AS_PATH keeps its leading numbers',
    hex: only(`${ORIGIN_IGP}4002080203fdebfde95ba0${NEXT_HOP}${AS4}`),
    context: OLD,
    expect: { ...VALID, attributes: { asPath: sequence(65003, 65001, 4200000000) } },
  },
  {
    name: 'RFC 6793 4.2.3: a shorter AS_PATH stands alone',
    hex: only(`${ORIGIN_IGP}40020402015ba0${NEXT_HOP}${AS4}`),
    context: OLD,
    expect: { ...VALID, attributes: { asPath: sequence(23456) } },
  },
  {
    name: 'RFC 6793 4.2.3: AGGREGATOR of AS_TRANS takes AS4_AGGREGATOR',
    hex: only(
      `${ORIGIN_IGP}4002060202fde95ba0${NEXT_HOP}${attribute('c0', 7, '5ba0c0000201')}${AS4}${attribute('c0', 18, 'fa56ea00c0000202')}`,
    ),
    context: OLD,
    expect: {
      ...VALID,
      attributes: {
        asPath: sequence(65001, 4200000000),
        aggregator: { as: 4200000000, address: '192.0.2.2' },
      },
    },
  },
  {
    name: 'RFC 6793 4.2.3: AGGREGATOR of another AS makes both AS4 attributes void',
    hex: only(
      `${ORIGIN_IGP}4002060202fde95ba0${NEXT_HOP}${attribute('c0', 7, 'fde9c0000201')}${AS4}${attribute('c0', 18, 'fa56ea00c0000202')}`,
    ),
    context: OLD,
    expect: {
      ...VALID,
      attributes: { asPath: sequence(65001, 23456), aggregator: { as: 65001, address: '192.0.2.1' } },
    },
  },
  {
    name: 'RFC 6793 6: confederation segments are taken out of AS4_PATH',
    hex: only(
      `${ORIGIN_IGP}4002060202fde95ba0${NEXT_HOP}${attribute('c0', 17, '03010000000702020000fde9fa56ea00')}`,
    ),
    context: OLD,
    expect: { ...VALID, attributes: { asPath: sequence(65001, 4200000000) } },
  },
  ...(
    [
      ['5 octets', '0201000000'],
      ['a segment past the end', '02030000fde9fa56ea00'],
      ['an empty segment', '02010000fde90200'],
      ['an unknown segment type', '09010000fde9'],
      ['AS number 0', '020100000000'],
    ] as const
  ).map(([what, value]) => ({
    name: `RFC 6793 6: AS4_PATH with ${what} is discarded`,
    hex: only(`${ORIGIN_IGP}${OLD_PATH}${NEXT_HOP}${attribute('c0', 17, value)}`),
    context: OLD,
    expect: { ...DISCARD, attributes: { asPath: sequence(65001) } },
  })),
  ...['fa56ea00c00002', 'fa56ea00c000020100', '00000000c0000201'].map((value) => ({
    name: `RFC 6793 6, RFC 7607 2: AS4_AGGREGATOR ${value} is discarded`,
    hex: only(`${ORIGIN_IGP}${OLD_PATH}${NEXT_HOP}${attribute('c0', 18, value)}`),
    context: OLD,
    expect: DISCARD,
  })),
  {
    name: 'RFC 6793 6: AS4_PATH from a peer with 4-octet numbers is discarded',
    hex: plus(AS4),
    expect: { ...DISCARD, attributes: { asPath: sequence(65001) } },
  },
  {
    name: 'RFC 6793 6: AS4_AGGREGATOR from a peer with 4-octet numbers is discarded',
    hex: plus(attribute('c0', 18, 'fa56ea00c0000202')),
    expect: { ...DISCARD, without: ['aggregator'] },
  },
];

describe('wire verdict: UPDATE', () => {
  describe('good messages', () => verdictTests(GOOD));
  describe('framing', () => verdictTests(FRAMING));
  describe('flags', () => verdictTests(flagCases()));
  describe('repeated attributes', () => verdictTests(duplicateCases()));
  describe('rules for all attributes', () => verdictTests(RULES));
  describe('values', () => verdictTests(VALUES));
  describe('MP_REACH_NLRI and MP_UNREACH_NLRI', () => verdictTests(MULTIPROTOCOL));
  describe('4-octet AS numbers', () => verdictTests(FOUR_OCTET_AS));
});

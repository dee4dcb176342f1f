/** UPDATE messages and the verdicts that the RFCs ask for: framing, NLRI, values, sessions' options. */

import type { LineContext, Row } from './rows.ts';
import {
  AS_PATH,
  attribute,
  MANDATORY,
  MARKER,
  MP_REACH,
  MP_REACH_HEAD,
  message,
  NEXT_HOP,
  NLRI,
  NLRI6,
  ORIGIN_IGP,
  OTHER_NLRI,
  update,
} from './support.ts';

const ROUTE = '+203.0.113.0/24@192.0.2.1';
const GONE = '-203.0.113.0/24';
const ROUTE6 = '+2001:db8:1::/48@2001:db8::1';
const IBGP: LineContext = { peer: 'ibgp', peerAs: 65000 };
const AS2: LineContext = { as4: false };
const PATHS4: LineContext = { addpath: ['ipv4-unicast'] };
const PATHS6: LineContext = { addpath: ['ipv6-unicast'] };
const ONLY4: LineContext = { families: ['ipv4-unicast'] };
const ONLY6: LineContext = { families: ['ipv6-unicast'] };
const EXTNH: LineContext = { extnh: true };

/** 203.0.113.0/24 with these attributes, nothing added. */
const only = (attributes: string): string => update({ attributes, nlri: NLRI });
/** 203.0.113.0/24 with the mandatory attributes and more. */
const plus = (attributes: string): string => only(`${MANDATORY}${attributes}`);
const asPath = (value: string): string => only(`${ORIGIN_IGP}${attribute('40', 2, value)}${NEXT_HOP}`);
const nextHop = (value: string): string => only(`${ORIGIN_IGP}${AS_PATH}${attribute('40', 3, value)}`);
const body = (nlri: string): string => update({ attributes: MANDATORY, nlri });
const gone = (withdrawn: string): string => update({ withdrawn });
/** ORIGIN, AS_PATH and an MP_REACH_NLRI of this value. */
const reach = (value: string): string =>
  update({ attributes: `${ORIGIN_IGP}${AS_PATH}${attribute('80', 14, value)}` });
const unreach = (value: string): string => update({ attributes: attribute('80', 15, value) });
const flat = (text: string): string => text.replace(/\s+/g, '');
const nine = (code: number, value: string): string => `reset 3/9 ${flat(attribute('80', code, value))}`;
const GLOBAL = '20010db8000000000000000000000001';
const LINK = 'fe800000000000000000000000000001';
const NONE = '00'.repeat(16);

const FRAMING: readonly Row[] = [
  ['withdrawn length one above what there is', `${MARKER}0017020001 0000`, 'reset 3/1'],
  ['withdrawn length that leaves no room for the other length', `${MARKER}0018020002 0000 00`, 'reset 3/1'],
  ['withdrawn length 65535', `${MARKER}001702ffff 0000`, 'reset 3/1'],
  ['attribute length one above what there is', `${MARKER}0017020000 0001`, 'reset 3/1'],
  ['attribute length 65535', `${MARKER}0017020000 ffff`, 'reset 3/1'],
  ['both lengths exactly the rest', `${MARKER}001c02 0001 00 0004 40010100`, 'valid -0.0.0.0/0'],
  [
    'an attribute cut by the total length, NLRI after it',
    `${message(2, `0000 0003 400101 ${NLRI}`)}`,
    `withdraw ${GONE}`,
  ],
  [
    'the total length one octet short: its last octet is taken for NLRI',
    message(2, `0000 0013 ${MANDATORY.slice(0, -2)}01${NLRI}`),
    'reset 3/10',
  ],
  ['no attributes at all before NLRI', only(''), `withdraw ${GONE}`],
  ['nothing at all: End-of-RIB', update({}), 'valid'],
  ['an attribute that is all there is, and cut', update({ attributes: '40' }), 'reset 3/1'],
  ['a zero-length unknown attribute', plus('c06300'), `valid ${ROUTE}`],
  ['a long attribute in the long form', plus(`d0630100${'00'.repeat(256)}`), `valid ${ROUTE}`],
  ['the long form with a length that overruns', plus('d063ffff00'), `withdraw ${GONE}`],
];

const NLRI_FIELDS: readonly Row[] = [
  ['a default route', body('00'), 'valid +0.0.0.0/0@192.0.2.1'],
  ['a host', body('20c0000207'), 'valid +192.0.2.7/32@192.0.2.1'],
  ['33 bits', body('21c000020700'), 'reset 3/10'],
  ['255 bits', body(`ff${'00'.repeat(32)}`), 'reset 3/10'],
  ['a length without octets', body('18'), 'reset 3/10'],
  ['the last of two prefixes cut', body(`${NLRI}18c633`), 'reset 3/10'],
  ['trailing bits set', body('09ffff'), 'valid +255.128.0.0/9@192.0.2.1'],
  ['one prefix twice', body(`${NLRI}${NLRI}`), `valid ${ROUTE}`],
  ['withdrawn: a default route', gone('00'), 'valid -0.0.0.0/0'],
  ['withdrawn: 33 bits', gone('21c000020700'), 'reset 3/10'],
  ['withdrawn: cut', gone('18c633'), 'reset 3/10'],
  ['withdrawn: bad, and bad attributes', update({ withdrawn: '18c6', attributes: '40010107' }), 'reset 3/10'],
  [
    'withdrawn and announced in one message',
    update({ withdrawn: `${NLRI}${OTHER_NLRI}`, attributes: MANDATORY, nlri: NLRI }),
    `valid ${ROUTE} -198.51.100.0/24`,
  ],
  [
    'withdrawn beside a bad announcement',
    update({ withdrawn: OTHER_NLRI, attributes: `40010103${AS_PATH}${NEXT_HOP}`, nlri: NLRI }),
    `withdraw -198.51.100.0/24 ${GONE}`,
  ],
  [
    'path identifiers',
    body(`00000001${NLRI}00000002${NLRI}`),
    'valid +203.0.113.0/24#1@192.0.2.1 +203.0.113.0/24#2@192.0.2.1',
    PATHS4,
  ],
  ['path identifier 0', body(`00000000${NLRI}`), 'valid +203.0.113.0/24#0@192.0.2.1', PATHS4],
  [
    'path identifier 4294967295, withdrawn',
    gone(`ffffffff${NLRI}`),
    'valid -203.0.113.0/24#4294967295',
    PATHS4,
  ],
  [
    'withdrawn with one identifier, announced with another',
    update({ withdrawn: `00000001${NLRI}`, attributes: MANDATORY, nlri: `00000002${NLRI}` }),
    'valid +203.0.113.0/24#2@192.0.2.1 -203.0.113.0/24#1',
    PATHS4,
  ],
  ['path identifiers for IPv6 leave IPv4 without', body(NLRI), `valid ${ROUTE}`, PATHS6],
  ['an identifier cut', body('000000'), 'reset 3/10', PATHS4],
  ['an identifier and no prefix', body('00000001'), 'reset 3/10', PATHS4],
  ['no identifier where one is due', body(NLRI), 'reset 3/10', PATHS4],
  ['an identifier where none is due', body(`00000001${NLRI}`), 'reset 3/10'],
  ['withdrawn: an identifier cut', gone('0000000118cb'), 'reset 3/10', PATHS4],
  ['IPv4 not negotiated: ignored intact', body(NLRI), 'valid', ONLY6],
  ['IPv4 not negotiated: damaged all the same', body('21c000020700'), 'valid', ONLY6],
  ['IPv4 not negotiated: withdrawn', gone(NLRI), 'valid', ONLY6],
];

const PATH_VALUES: readonly Row[] = [
  ['two sequences', asPath('02010000fde9 02010000fdea'), `valid ${ROUTE}`],
  ['a set after a sequence', asPath('02010000fde9 01020000fdea0000fdeb'), `valid ${ROUTE}`],
  ['a set alone', asPath('01010000fde9'), `valid ${ROUTE}`],
  ['segment type 0', asPath('00010000fde9'), `withdraw ${GONE}`],
  ['segment type 5', asPath('05010000fde9'), `withdraw ${GONE}`],
  ['a confederation sequence', asPath('03010000fde9'), `withdraw ${GONE}`],
  ['a confederation set', asPath('04010000fde9'), `withdraw ${GONE}`],
  ['a confederation sequence from an internal peer', asPath('03010000fde9'), `withdraw ${GONE}`, IBGP],
  ['a segment without members', asPath('0200'), `withdraw ${GONE}`],
  ['a segment without members after a good one', asPath('02010000fde9 0200'), `withdraw ${GONE}`],
  ['a segment past the end', asPath('02020000fde9'), `withdraw ${GONE}`],
  ['one octet after the last segment', asPath('02010000fde9 02'), `withdraw ${GONE}`],
  ['AS 0 alone', asPath('020100000000'), `withdraw ${GONE}`],
  ['AS 0 at the end', asPath('02020000fde900000000'), `withdraw ${GONE}`],
  ['AS 0 in a set', asPath('02010000fde9 010100000000'), `withdraw ${GONE}`],
  ['AS 0 of two octets', only(`${ORIGIN_IGP}400204 02010000 ${NEXT_HOP}`), `withdraw ${GONE}`, AS2],
  ['AS_TRANS in a path of 4-octet numbers', asPath('020200005ba00000fde9'), `valid ${ROUTE}`],
  ['AS 4294967295', asPath('02020000fde9ffffffff'), `valid ${ROUTE}`],
  ['our own AS: a loop is no error', asPath('02020000fde90000fde8'), `valid ${ROUTE}`],
  ['4-octet numbers where 2-octet ones are due', asPath('02020000fde90000fdea'), `withdraw ${GONE}`, AS2],
  [
    '2-octet numbers where 4-octet ones are due',
    only(`${ORIGIN_IGP}400204 0201fde9 ${NEXT_HOP}`),
    `withdraw ${GONE}`,
  ],
  ['255 numbers', only(`${ORIGIN_IGP}500203fe 02ff ${'0000fde9'.repeat(255)}${NEXT_HOP}`), `valid ${ROUTE}`],
  ['empty, from an internal peer', only(`${ORIGIN_IGP}400200${NEXT_HOP}`), `valid ${ROUTE}`, IBGP],
  ['another first AS', asPath('02010000fdea'), `valid ${ROUTE}`],
  ['another first AS, enforced', asPath('02010000fdea'), `withdraw ${GONE}`, { enforceFirstAs: true }],
  [
    'an empty path, first AS enforced',
    only(`${ORIGIN_IGP}400200${NEXT_HOP}`),
    `withdraw ${GONE}`,
    { enforceFirstAs: true },
  ],
  [
    'another first AS from an internal peer, enforced',
    asPath('02010000fdea'),
    `valid ${ROUTE}`,
    { ...IBGP, enforceFirstAs: true },
  ],
  [
    'a set, sets rejected (RFC 9774)',
    asPath('02010000fde9 01010000fdea'),
    `withdraw ${GONE}`,
    { rejectAsSets: true },
  ],
  [
    'AS4_PATH with AS 0',
    only(`${ORIGIN_IGP}4002040201fde9${NEXT_HOP}${attribute('c0', 17, '020100000000')}`),
    `discard ${ROUTE}`,
    AS2,
  ],
  ['AGGREGATOR of AS 0', plus(attribute('c0', 7, '00000000c0000201')), `discard ${ROUTE}`],
  [
    'AGGREGATOR of AS 0 in two octets',
    only(`${ORIGIN_IGP}4002040201fde9${NEXT_HOP}${attribute('c0', 7, '0000c0000201')}`),
    `discard ${ROUTE}`,
    AS2,
  ],
  [
    'AGGREGATOR of 6 octets with 4-octet numbers',
    plus(attribute('c0', 7, 'fde9c0000201')),
    `discard ${ROUTE}`,
  ],
  [
    'AGGREGATOR of 8 octets with 2-octet numbers',
    only(`${ORIGIN_IGP}4002040201fde9${NEXT_HOP}${attribute('c0', 7, '0000fde9c0000201')}`),
    `discard ${ROUTE}`,
    AS2,
  ],
];

const NEXT_HOPS: readonly Row[] = [
  ['0.0.0.0', nextHop('00000000'), `withdraw ${GONE}`],
  ['0.1.2.3', nextHop('00010203'), `withdraw ${GONE}`],
  ['127.0.0.1', nextHop('7f000001'), `withdraw ${GONE}`],
  ['126.255.255.255', nextHop('7effffff'), 'valid +203.0.113.0/24@126.255.255.255'],
  ['128.0.0.1', nextHop('80000001'), 'valid +203.0.113.0/24@128.0.0.1'],
  ['223.255.255.254', nextHop('dffffffe'), 'valid +203.0.113.0/24@223.255.255.254'],
  ['224.0.0.1', nextHop('e0000001'), `withdraw ${GONE}`],
  ['240.0.0.1', nextHop('f0000001'), `withdraw ${GONE}`],
  ['255.255.255.255', nextHop('ffffffff'), `withdraw ${GONE}`],
  ['169.254.0.1', nextHop('a9fe0001'), 'valid +203.0.113.0/24@169.254.0.1'],
  ['of 3 octets', nextHop('c00002'), `withdraw ${GONE}`],
  ['of 16 octets', nextHop(GLOBAL), `withdraw ${GONE}`],
  [
    '0.0.0.0 where no NLRI needs it',
    update({ attributes: `${ORIGIN_IGP}${AS_PATH}40030400000000${MP_REACH}` }),
    `valid ${ROUTE6}`,
  ],
  [
    'missing where no NLRI needs it',
    update({ attributes: `${ORIGIN_IGP}${AS_PATH}${MP_REACH}` }),
    `valid ${ROUTE6}`,
  ],
  [
    'missing, both kinds of NLRI',
    only(`${ORIGIN_IGP}${AS_PATH}${MP_REACH}`),
    `withdraw ${GONE} -2001:db8:1::/48`,
  ],
];

const MANDATORY_ONES: readonly Row[] = [
  ['ORIGIN missing', only(`${AS_PATH}${NEXT_HOP}`), `withdraw ${GONE}`],
  ['AS_PATH missing', only(`${ORIGIN_IGP}${NEXT_HOP}`), `withdraw ${GONE}`],
  ['NEXT_HOP missing', only(`${ORIGIN_IGP}${AS_PATH}`), `withdraw ${GONE}`],
  [
    'ORIGIN missing for MP_REACH_NLRI',
    update({ attributes: `${AS_PATH}${MP_REACH}` }),
    'withdraw -2001:db8:1::/48',
  ],
  [
    'AS_PATH missing for MP_REACH_NLRI',
    update({ attributes: `${ORIGIN_IGP}${MP_REACH}` }),
    'withdraw -2001:db8:1::/48',
  ],
  ['all missing for MP_REACH_NLRI', update({ attributes: MP_REACH }), 'withdraw -2001:db8:1::/48'],
  ['none needed to withdraw', gone(NLRI), `valid ${GONE}`],
  ['none needed to withdraw by MP_UNREACH_NLRI', unreach(`000201${NLRI6}`), 'valid -2001:db8:1::/48'],
  ['attributes without any NLRI', update({ attributes: MANDATORY }), 'valid'],
  ['LOCAL_PREF missing from an internal peer', only(MANDATORY), `valid ${ROUTE}`, IBGP],
  ['ORIGIN 0', only(`40010100${AS_PATH}${NEXT_HOP}`), `valid ${ROUTE}`, { more: true }],
  ['ORIGIN 1', only(`40010101${AS_PATH}${NEXT_HOP}`), `valid ${ROUTE}`],
  ['ORIGIN 2', only(`40010102${AS_PATH}${NEXT_HOP}`), `valid ${ROUTE}`],
  ['ORIGIN 3', only(`40010103${AS_PATH}${NEXT_HOP}`), `withdraw ${GONE}`],
  ['ORIGIN 255', only(`400101ff${AS_PATH}${NEXT_HOP}`), `withdraw ${GONE}`],
  ['ORIGIN twice, the second one bad', plus('40010107'), `discard ${ROUTE}`],
  ['ORIGIN twice, the first one bad', only(`40010107${MANDATORY}`), `withdraw ${GONE}`],
  ['NEXT_HOP twice, the first one counts', plus('400304c0000263'), `discard ${ROUTE}`],
  ['descending order', only(`${NEXT_HOP}${AS_PATH}${ORIGIN_IGP}`), `valid ${ROUTE}`],
];

const MULTIPROTOCOL: readonly Row[] = [
  ['IPv6', reach(`${MP_REACH_HEAD}${NLRI6}`), `valid ${ROUTE6}`],
  [
    'IPv6 default and host',
    reach(`${MP_REACH_HEAD}00 80${GLOBAL}`),
    'valid +::/0@2001:db8::1 +2001:db8::1/128@2001:db8::1',
  ],
  ['IPv6, the reserved octet set', reach(`000201 10 ${GLOBAL} ff ${NLRI6}`), `valid ${ROUTE6}`],
  ['129 bits', reach(`${MP_REACH_HEAD}81${GLOBAL}00`), nine(14, `${MP_REACH_HEAD}81${GLOBAL}00`)],
  ['a prefix cut', reach(`${MP_REACH_HEAD}3020010db8`), nine(14, `${MP_REACH_HEAD}3020010db8`)],
  [
    'IPv4, 33 bits',
    reach('000101 04 c0000201 00 21c000020700'),
    nine(14, '000101 04 c0000201 00 21c000020700'),
  ],
  ['next hop of 32 octets', reach(`000201 20 ${GLOBAL}${LINK} 00 ${NLRI6}`), `valid ${ROUTE6}`],
  [
    'next hop of 32 octets, the second not link-local',
    reach(`000201 20 ${GLOBAL}${GLOBAL} 00 ${NLRI6}`),
    `valid ${ROUTE6}`,
  ],
  [
    'next hop of 32 octets, :: first',
    reach(`000201 20 ${NONE}${LINK} 00 ${NLRI6}`),
    'valid +2001:db8:1::/48@fe80::1',
  ],
  [
    'next hop of 32 octets, both ::',
    reach(`000201 20 ${NONE}${NONE} 00 ${NLRI6}`),
    'withdraw -2001:db8:1::/48',
  ],
  ['next hop link-local alone', reach(`000201 10 ${LINK} 00 ${NLRI6}`), 'valid +2001:db8:1::/48@fe80::1'],
  ['next hop ::', reach(`000201 10 ${NONE} 00 ${NLRI6}`), 'withdraw -2001:db8:1::/48'],
  ['next hop ::1', reach(`000201 10 ${'00'.repeat(15)}01 00 ${NLRI6}`), 'withdraw -2001:db8:1::/48'],
  ['next hop ff02::1', reach(`000201 10 ff02${'00'.repeat(13)}01 00 ${NLRI6}`), 'withdraw -2001:db8:1::/48'],
  [
    'next hop ::ffff:192.0.2.1',
    reach(`000201 10 ${'00'.repeat(10)}ffffc0000201 00 ${NLRI6}`),
    'valid +2001:db8:1::/48@::ffff:c000:201',
  ],
  ...[0, 4, 12, 15, 17, 24, 31, 33, 48].map((octets): Row => {
    const value = `000201 ${octets.toString(16).padStart(2, '0')} ${'20'.repeat(octets)} 00 ${NLRI6}`;
    return [`next hop of ${octets} octets`, reach(value), nine(14, value)];
  }),
  ['next hop past the end', reach('000201 20 20010db8'), nine(14, '000201 20 20010db8')],
  ['no room for the reserved octet', reach(`000201 10 ${GLOBAL}`), nine(14, `000201 10 ${GLOBAL}`)],
  ['of 4 octets', reach('00020110'), nine(14, '00020110')],
  ['without NLRI', reach(MP_REACH_HEAD), 'valid'],
  ['twice', update({ attributes: `${ORIGIN_IGP}${AS_PATH}${MP_REACH}${MP_REACH}` }), 'reset 3/1'],
  ['MP_UNREACH_NLRI twice', update({ attributes: attribute('80', 15, '000201').repeat(2) }), 'reset 3/1'],
  ['MP_UNREACH_NLRI of 2 octets', unreach('0002'), nine(15, '0002')],
  ['MP_UNREACH_NLRI, 129 bits', unreach(`00020181${GLOBAL}00`), nine(15, `00020181${GLOBAL}00`)],
  ['MP_UNREACH_NLRI, a prefix cut', unreach('0002013020010db8'), nine(15, '0002013020010db8')],
  ['End-of-RIB of IPv6', unreach('000201'), 'valid'],
  ['End-of-RIB of IPv4 in MP_UNREACH_NLRI', unreach('000101'), 'valid'],
  ['IPv4 in MP_UNREACH_NLRI', unreach(`000101${NLRI}`), `valid ${GONE}`],
  ['IPv4 in MP_REACH_NLRI', reach(`000101 04 c0000201 00 ${NLRI}`), `valid ${ROUTE}`],
  ['both MP_REACH_NLRI and body NLRI', plus(MP_REACH), `valid ${ROUTE} ${ROUTE6}`],
  [
    'MP_REACH_NLRI and MP_UNREACH_NLRI',
    update({ attributes: `${MP_REACH}${ORIGIN_IGP}${AS_PATH}${attribute('80', 15, '00020120 20010db9')}` }),
    `valid ${ROUTE6} -2001:db9::/32`,
  ],
  [
    'one prefix in both: announced',
    update({ attributes: `${MP_REACH}${ORIGIN_IGP}${AS_PATH}${attribute('80', 15, `000201${NLRI6}`)}` }),
    `valid ${ROUTE6}`,
  ],
  [
    'a bad attribute beside both',
    update({ attributes: `${MP_REACH}40010109${AS_PATH}${attribute('80', 15, '00020120 20010db9')}` }),
    'withdraw -2001:db9::/32 -2001:db8:1::/48',
  ],
  [
    'path identifiers',
    reach(`${MP_REACH_HEAD}00000007${NLRI6}`),
    'valid +2001:db8:1::/48#7@2001:db8::1',
    PATHS6,
  ],
  ['an identifier cut', reach(`${MP_REACH_HEAD}0000`), nine(14, `${MP_REACH_HEAD}0000`), PATHS6],
  ['an identifier and no prefix, withdrawn', unreach('00020100000007'), nine(15, '00020100000007'), PATHS6],
  ['End-of-RIB has no identifier', unreach('000201'), 'valid', PATHS6],
  [
    'IPv4 with an IPv6 next hop',
    reach(`000101 10 ${GLOBAL} 00 ${NLRI}`),
    'valid +203.0.113.0/24@2001:db8::1',
    EXTNH,
  ],
  [
    'IPv4 with two IPv6 next hops',
    reach(`000101 20 ${GLOBAL}${LINK} 00 ${NLRI}`),
    'valid +203.0.113.0/24@2001:db8::1',
    EXTNH,
  ],
  [
    'IPv4 with a link-local next hop',
    reach(`000101 10 ${LINK} 00 ${NLRI}`),
    'valid +203.0.113.0/24@fe80::1',
    EXTNH,
  ],
  [
    'IPv4 with its own next hop, RFC 8950 negotiated',
    reach(`000101 04 c0000201 00 ${NLRI}`),
    `valid ${ROUTE}`,
    EXTNH,
  ],
  [
    'IPv4 with an IPv6 next hop, not negotiated',
    reach(`000101 10 ${GLOBAL} 00 ${NLRI}`),
    nine(14, `000101 10 ${GLOBAL} 00 ${NLRI}`),
  ],
  [
    'IPv4 with a next hop of 24 octets',
    reach(`000101 18 ${NONE}${'00'.repeat(8)} 00 ${NLRI}`),
    nine(14, `000101 18 ${NONE}${'00'.repeat(8)} 00 ${NLRI}`),
    EXTNH,
  ],
  ['IPv6 not negotiated: ignored intact', reach(`${MP_REACH_HEAD}${NLRI6}`), 'valid', ONLY4],
  ['IPv6 not negotiated: damaged NLRI', reach(`${MP_REACH_HEAD}81`), 'valid', ONLY4],
  ['IPv6 not negotiated: an odd next hop', reach(`000201 05 2020202020 00 ${NLRI6}`), 'valid', ONLY4],
  ['IPv6 not negotiated: withdrawn', unreach(`000201${NLRI6}`), 'valid', ONLY4],
  ['IPv6 not negotiated, IPv4 beside it', plus(MP_REACH), `valid ${ROUTE}`, ONLY4],
  [
    'IPv4 not negotiated, IPv6 beside it',
    only(`${ORIGIN_IGP}${AS_PATH}${MP_REACH}`),
    `valid ${ROUTE6}`,
    ONLY6,
  ],
  ['VPN routes', reach('000180 0c 0000000000000000c0000201 00 70000011cb007100'), 'valid'],
  ['EVPN routes', reach('001946 04 c0000201 00 0311000000000000000000000000002000c00002'), 'valid'],
  ['flow specification without a next hop', reach('000185 00 00 0501180a0000'), 'valid'],
  ['multicast', reach(`000102 04 c0000201 00 ${NLRI}`), 'valid'],
  ['AFI 0', reach(`000001 04 c0000201 00 ${NLRI}`), 'valid'],
];

const OTHERS: readonly Row[] = [
  [
    'two kinds of damage: the withdraw wins over the discard',
    plus(`${attribute('40', 6, '00')}${attribute('80', 4, '00')}`),
    `withdraw ${GONE}`,
  ],
  [
    'three attributes to discard',
    plus(`${attribute('40', 5, '00000064')}${attribute('40', 6, '00')}${attribute('c0', 7, '00')}`),
    `discard ${ROUTE}`,
  ],
  [
    'the reset wins over all',
    plus(`${attribute('40', 6, '00')}${attribute('80', 4, '00')}${attribute('40', 99, '01')}`),
    'reset 3/2 40630101',
  ],
  ['well-known and unknown: with its octets', plus('4063023132'), 'reset 3/2 4063023132'],
  ['well-known and unknown in the long form: with its octets', plus('5063000101'), 'reset 3/2 5063000101'],
  ['type 0, optional', plus('c00000'), `valid ${ROUTE}`],
  ['type 255, optional', plus('c0ff00'), `valid ${ROUTE}`],
  ['two unknown attributes of one type', plus('c06300c06300'), `discard ${ROUTE}`],
  ['COMMUNITIES of many', plus(attribute('c0', 8, 'ffffff01ffffff02ffff029a00000000')), `valid ${ROUTE}`],
  [
    'LARGE_COMMUNITY with one value twice',
    plus(attribute('c0', 32, '0000fde90000000100000002'.repeat(2))),
    `valid ${ROUTE}`,
  ],
  [
    'an extended community of an unknown type',
    plus(attribute('c0', 16, '7f11223344556677')),
    `valid ${ROUTE}`,
  ],
  ['CLUSTER_LIST of three', plus(attribute('80', 10, 'c0000201'.repeat(3))), `valid ${ROUTE}`, IBGP],
  ['ORIGINATOR_ID of 8 octets', plus(attribute('80', 9, 'c0000201c0000202')), `withdraw ${GONE}`, IBGP],
  ['LOCAL_PREF 0 from an internal peer', plus(attribute('40', 5, '00000000')), `valid ${ROUTE}`, IBGP],
  ['MED 4294967295', plus(attribute('80', 4, 'ffffffff')), `valid ${ROUTE}`],
  ['AIGP with two TLVs', plus(attribute('80', 26, '01000b0000000000000001 020004ff')), `valid ${ROUTE}`],
  ['AIGP with a metric of 4 octets', plus(attribute('80', 26, '01000700000001')), `discard ${ROUTE}`],
  ['AIGP with a TLV length of 2', plus(attribute('80', 26, '020002')), `discard ${ROUTE}`],
  ['Prefix-SID with two TLVs', plus(attribute('c0', 40, '01000700000000000064 05000100')), `valid ${ROUTE}`],
  [
    'Prefix-SID, a Label-Index of 8 octets',
    plus(attribute('c0', 40, '0100080000000000000064')),
    `discard ${ROUTE}`,
  ],
  [
    'Prefix-SID, an SRGB of two ranges',
    plus(attribute('c0', 40, `03000e0000${'00'.repeat(12)}`)),
    `valid ${ROUTE}`,
  ],
  ['Prefix-SID, an SRGB without ranges', plus(attribute('c0', 40, '0300020000')), `discard ${ROUTE}`],
  ['Prefix-SID past its end', plus(attribute('c0', 40, '01000800000000000064')), `discard ${ROUTE}`],
];

export const UPDATE_TABLES: Readonly<Record<string, readonly Row[]>> = {
  'framing (RFC 4271 4.3, RFC 7606 3 and 4)': FRAMING,
  'NLRI (RFC 7606 5.3, RFC 7911)': NLRI_FIELDS,
  'AS numbers (RFC 7606 7.2, RFC 7607, RFC 6793, RFC 5065)': PATH_VALUES,
  'NEXT_HOP (RFC 4271 6.3, RFC 7606 7.3)': NEXT_HOPS,
  'mandatory attributes (RFC 7606 3(d))': MANDATORY_ONES,
  'multiprotocol (RFC 4760, RFC 2545, RFC 8950, RFC 7606 7.11)': MULTIPROTOCOL,
  'other attributes': OTHERS,
};

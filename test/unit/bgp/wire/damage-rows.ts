/** Each path attribute with each kind of damage: the verdict that RFC 7606 and the attribute's own document ask for. */

import type { LineContext, Row } from './rows.ts';
import { MP_REACH_HEAD, NLRI, NLRI6, update } from './support.ts';

/** One attribute: flags in hexadecimal, type code, value. */
type Attribute = readonly [flags: number, code: number, value: string];

const hex8 = (value: number): string => value.toString(16).padStart(2, '0');
const octetsOf = (value: string): number => value.replace(/\s+/g, '').length / 2;

function plain(flags: number, code: number, value: string): string {
  return `${hex8(flags)}${hex8(code)}${hex8(octetsOf(value))}${value}`;
}

const DAMAGE: Readonly<Record<string, (attribute: Attribute) => string>> = {
  none: ([flags, code, value]) => plain(flags, code, value),
  // Harmless: RFC 7606 3(c) looks at two bits, RFC 4271 4.3 allows the long form for short values.
  'partial bit': ([flags, code, value]) => plain(flags | 0x20, code, value),
  'low four bits': ([flags, code, value]) => plain(flags | 0x0f, code, value),
  'extended length': ([flags, code, value]) =>
    `${hex8(flags | 0x10)}${hex8(code)}00${hex8(octetsOf(value))}${value}`,
  'optional bit': ([flags, code, value]) => plain(flags ^ 0x80, code, value),
  'transitive bit': ([flags, code, value]) => plain(flags ^ 0x40, code, value),
  'both bits': ([flags, code, value]) => plain(flags ^ 0xc0, code, value),
  empty: ([flags, code]) => plain(flags, code, ''),
  shorter: ([flags, code, value]) => plain(flags, code, value.replace(/\s+/g, '').slice(0, -2)),
  longer: ([flags, code, value]) => plain(flags, code, `${value}ff`),
  twice: ([flags, code, value]) => plain(flags, code, value).repeat(2),
  'past the end': ([flags, code, value]) =>
    `${hex8(flags)}${hex8(code)}${hex8(octetsOf(value) + 40)}${value}`,
  'cut after flags': ([flags, code, value]) => `${plain(flags, code, value)}40`,
  'cut after type': ([flags, code, value]) => `${plain(flags, code, value)}8063`,
  'cut in length': ([flags, code, value]) => `${plain(flags, code, value)}906300`,
};

const COLUMNS = [
  'none',
  'optional bit',
  'transitive bit',
  'both bits',
  'empty',
  'shorter',
  'longer',
  'twice',
  'past the end',
] as const;

const IBGP: LineContext = { peer: 'ibgp', peerAs: 65000 };
const AS2: LineContext = { as4: false };

/** What most attributes have in common: wrong bits and lengths withdraw, a second one is dropped (RFC 7606 3(c), 3(g), 4, 7). */
const COMMON = 'V W W W W W W D W';
/** From the wrong side, or to be ignored: dropped, whatever it says; its flags still count (RFC 7606 3(c), 3(h)). */
const UNWANTED = 'D W W W D D D D W';
/** Dropped when malformed. */
const DROPPED = 'V W W W D D D D W';
/** Not known to us: the Optional bit decides (RFC 4271 5, 6.3), the value is not looked at. */
const UNKNOWN = 'V R2 V R2 V V V D W';

/**
 * Verdicts in the order of COLUMNS. V valid, D attribute discard, W treat-as-withdraw, R2 reset 3/2, R9 reset 3/9 (both with the attribute
 * as data), R1 reset 3/1, - cannot be.
 */
const ROWS: readonly (readonly [
  name: string,
  flags: number,
  code: number,
  value: string,
  verdicts: string,
  ctx?: LineContext,
])[] = [
  ['ORIGIN', 0x40, 1, '00', 'V W W W W - W D W'],
  // RFC 7606 4: an AS_PATH may be empty.
  ['AS_PATH', 0x40, 2, '02010000fde9', 'V W W W V W W D W'],
  ['AS_PATH of 2-octet numbers', 0x40, 2, '0201fde9', 'V W W W V W W D W', AS2],
  ['NEXT_HOP', 0x40, 3, 'c0000201', COMMON],
  ['MULTI_EXIT_DISC', 0x80, 4, '00000001', COMMON],
  ['LOCAL_PREF, internal', 0x40, 5, '00000064', COMMON, IBGP],
  ['LOCAL_PREF, external', 0x40, 5, '00000064', UNWANTED],
  ['ATOMIC_AGGREGATE', 0x40, 6, '', 'V W W W - - D D W'],
  ['AGGREGATOR', 0xc0, 7, '0000fde9c0000201', DROPPED],
  ['AGGREGATOR of a 2-octet number', 0xc0, 7, 'fde9c0000201', DROPPED, AS2],
  ['COMMUNITIES', 0xc0, 8, 'fde90001', COMMON],
  ['ORIGINATOR_ID, internal', 0x80, 9, 'c0000207', COMMON, IBGP],
  ['ORIGINATOR_ID, external', 0x80, 9, 'c0000207', UNWANTED],
  ['CLUSTER_LIST, internal', 0x80, 10, 'c0000207', COMMON, IBGP],
  ['CLUSTER_LIST, external', 0x80, 10, 'c0000207', UNWANTED],
  ['MP_REACH_NLRI', 0x80, 14, `${MP_REACH_HEAD}${NLRI6}`, 'V R9 R9 R9 R9 R9 R9 R1 R1'],
  ['MP_UNREACH_NLRI', 0x80, 15, `000201${NLRI6}`, 'V R9 R9 R9 R9 R9 R9 R1 R1'],
  ['EXTENDED COMMUNITIES', 0xc0, 16, '0002fde900000001', COMMON],
  ['AS4_PATH to a 2-octet speaker', 0xc0, 17, '02010000fde9', DROPPED, AS2],
  ['AS4_PATH to a 4-octet speaker', 0xc0, 17, '02010000fde9', UNWANTED],
  ['AS4_AGGREGATOR to a 2-octet speaker', 0xc0, 18, '0000fde9c0000201', DROPPED, AS2],
  ['AS4_AGGREGATOR to a 4-octet speaker', 0xc0, 18, '0000fde9c0000201', UNWANTED],
  ['PMSI_TUNNEL', 0xc0, 22, '0000000000', UNKNOWN],
  ['IPv6 EXTENDED COMMUNITIES', 0xc0, 25, `0002${'20'.repeat(18)}`, COMMON],
  // RFC 7311 3.1: malformed, wrong bits among that, is as good as not there.
  ['AIGP', 0x80, 26, '01000b0000000000000007', 'V D D D D D D D W'],
  ['BGP-LS', 0x80, 29, '04000001aa', UNKNOWN],
  ['LARGE_COMMUNITY', 0xc0, 32, '0000fde90000000100000002', COMMON],
  ['ONLY_TO_CUSTOMER', 0xc0, 35, '0000fde9', COMMON],
  ['BGP Prefix-SID', 0xc0, 40, '01000700000000000064', DROPPED],
  ['ATTR_SET', 0xc0, 128, '0000fde940010100', UNKNOWN],
  ['an unassigned one, transitive', 0xc0, 99, 'abcd', UNKNOWN],
  ['an unassigned one, non-transitive', 0x80, 99, 'abcd', UNKNOWN],
];

/** The mandatory attributes but one, which the case brings; AS_PATH as the session has it. */
function companions(code: number, ctx: LineContext = {}): string {
  const path = ctx['as4'] === false ? '4002040201fde9' : '40020602010000fde9';
  return `${code === 1 ? '' : '40010100'}${code === 2 ? '' : path}${code === 3 ? '' : '400304c0000201'}`;
}

const BODY = '203.0.113.0/24';
const MP_PREFIX = '2001:db8:1::/48';

/** The outcome that a letter of the table stands for. */
function expectedOf(letter: string, code: number, damaged: string): string {
  const reach = code === 14 ? ` +${MP_PREFIX}@2001:db8::1` : '';
  const gone = code === 15 ? ` -${MP_PREFIX}` : '';
  const announced = `+${BODY}@192.0.2.1${reach}${gone}`;
  switch (letter) {
    case 'V':
      return `valid ${announced}`;
    case 'D':
      return `discard ${announced}`;
    case 'W':
      // What MP attributes before the damage say still counts.
      return code === 15
        ? `withdraw -${MP_PREFIX} -${BODY}`
        : `withdraw -${BODY}${code === 14 ? ` -${MP_PREFIX}` : ''}`;
    case 'R1':
      return 'reset 3/1';
    case 'R2':
    case 'R9':
      return `reset 3/${letter.slice(1)} ${damaged.replace(/\s+/g, '')}`;
    default:
      return 'no such case';
  }
}

/** Verdict letters of a row by damage. */
function lettersOf(verdicts: string): ReadonlyMap<string, string> {
  const letters = verdicts.split(' ');
  const columns = new Map<string, string>(COLUMNS.map((damage, index) => [damage, letters[index] ?? '']));
  for (const harmless of ['partial bit', 'low four bits', 'extended length']) {
    columns.set(harmless, letters[0] ?? '');
  }
  for (const cut of ['cut after flags', 'cut after type', 'cut in length']) columns.set(cut, 'W');
  return columns;
}

/** A table for each attribute: every damage in a message that announces a route, and in one that only withdraws. */
export const DAMAGE_TABLES: Readonly<Record<string, readonly Row[]>> = Object.fromEntries(
  ROWS.map(([name, flags, code, value, verdicts, ctx]) => {
    const rows: Row[] = [];
    for (const [damage, letter] of lettersOf(verdicts)) {
      if (letter === '-') continue;
      const damaged = DAMAGE[damage]?.([flags, code, value]) ?? '';
      const attributes = `${companions(code, ctx)}${damaged}`;
      rows.push([damage, update({ attributes, nlri: NLRI }), expectedOf(letter, code, damaged), ctx ?? {}]);
      // The two MP attributes bring NLRI of their own.
      if (code === 14 || code === 15) continue;
      const alone = letter === 'W' ? 'R1' : letter;
      const expected = expectedOf(alone, code, damaged);
      rows.push([
        `${damage}, in a message without reachable NLRI (RFC 7606 5.2)`,
        update({ withdrawn: NLRI, attributes: damaged }),
        alone.startsWith('R') ? expected : `${expected.split(' ')[0]} -${BODY}`,
        ctx ?? {},
      ]);
    }
    return [`${name} (${code})`, rows];
  }),
);

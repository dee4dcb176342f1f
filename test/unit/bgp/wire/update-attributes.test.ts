/** The verdict on UPDATE messages by the rules for all attributes: flags, repetition, what is missing (RFC 7606 3). Expected results by the text of the RFCs. */
import {
  AS_PATH,
  attribute,
  type Case,
  MANDATORY,
  MP_REACH,
  MP_REACH_HEAD,
  NEXT_HOP,
  NLRI,
  NLRI6,
  ORIGIN_IGP,
  update,
  verdictTests,
} from './support.ts';
import { DISCARD, IBGP, only, PREFIX, plus, VALID, WITHDRAW } from './update-support.ts';

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

describe('wire verdict: UPDATE', () => {
  describe('flags', () => verdictTests(flagCases()));
  describe('repeated attributes', () => verdictTests(duplicateCases()));
  describe('rules for all attributes', () => verdictTests(RULES));
});

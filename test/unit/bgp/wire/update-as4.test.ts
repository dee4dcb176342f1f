/** The verdict on UPDATE messages between speakers of 2-octet and 4-octet AS numbers (RFC 6793). Expected results by the text of the RFCs. */
import { attribute, type Case, NEXT_HOP, ORIGIN_IGP, verdictTests } from './support.ts';
import { DISCARD, OLD, OLD_PATH, only, plus, sequence, VALID, WITHDRAW } from './update-support.ts';

const AS4 = attribute('c0', 17, '02020000fde9fa56ea00');

const OLD_LONG = { ...OLD, extendedMessage: true } as const;
/** so many sequences of 255 times 65001 in two octets */
const longPath = (segments: number): string =>
  `5002${(512 * segments).toString(16)}${`02ff${'fde9'.repeat(255)}`.repeat(segments)}`;

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
    name: 'a path of 2-octet numbers whose length with 4-octet ones needs more than 16 bits withdraws',
    hex: only(`${ORIGIN_IGP}${longPath(65)}${NEXT_HOP}`),
    context: OLD_LONG,
    expect: WITHDRAW,
  },
  {
    name: 'AS4_PATH does not count if the two together would be too long',
    hex: only(
      `${ORIGIN_IGP}${longPath(58)}${NEXT_HOP}d011${(30 * 1022).toString(16)}${`01ff${'0000fde9'.repeat(255)}`.repeat(30)}`,
    ),
    context: OLD_LONG,
    expect: {
      ...VALID,
      attributes: { asPath: Array.from({ length: 58 }, () => sequence(...Array(255).fill(65001))[0]) },
    },
  },
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
  describe('4-octet AS numbers', () => verdictTests(FOUR_OCTET_AS));
});

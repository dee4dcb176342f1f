/** The verdict on UPDATE messages as a whole: what is good, and lengths that do not fit (RFC 7606 3, 4, 5.3). Expected results by the text of the RFCs. */
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
import { only, PREFIX, plus, ROUTE, ROUTE6, VALID, WITHDRAW } from './update-support.ts';

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

describe('wire verdict: UPDATE', () => {
  describe('good messages', () => verdictTests(GOOD));
  describe('framing', () => verdictTests(FRAMING));
});

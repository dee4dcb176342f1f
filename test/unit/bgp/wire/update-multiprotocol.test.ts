/** The verdict on UPDATE messages with MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, RFC 7606 5, 7.11). Expected results by the text of the RFCs. */
import {
  AS_PATH,
  attribute,
  type Case,
  MP_REACH_HEAD,
  NLRI,
  NLRI6,
  ORIGIN_IGP,
  update,
  verdictTests,
} from './support.ts';
import { plus } from './update-support.ts';

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

describe('wire verdict: UPDATE', () => {
  describe('MP_REACH_NLRI and MP_UNREACH_NLRI', () => verdictTests(MULTIPROTOCOL));
});

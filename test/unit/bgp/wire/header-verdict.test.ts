/** The verdict on headers and on messages other than UPDATE. Expected results by the text of the RFCs. */
import { type Case, MARKER, message, octets, update, verdictTests } from './support.ts';

/** AS 65001, hold time 90, identifier 192.0.2.9, optional parameters as given (their length included) */
function open(parameters = '00', fixed = '04 fde9 005a c0000209'): string {
  return message(1, `${fixed}${parameters}`);
}

/** One parameter of type 2 with these capabilities. */
function capabilities(hex: string): string {
  const length = octets(hex).length;
  const text = (value: number) => value.toString(16).padStart(2, '0');
  return `${text(length + 2)}02${text(length)}${hex}`;
}

const opensent = { phase: 'opensent' } as const;
const openconfirm = { phase: 'openconfirm' } as const;

const HEADERS: readonly Case[] = [
  {
    name: 'RFC 4271 4.4: a KEEPALIVE',
    hex: `${MARKER}001304`,
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 4271 6.1: a marker with a zero is 1/1, without data',
    hex: `${'ff'.repeat(15)}00 0013 04`,
    expect: { verdict: 'session-reset', error: '1/1' },
  },
  {
    name: 'RFC 4271 6.1: the marker comes before the length',
    hex: `00${'ff'.repeat(15)} 0000 09`,
    expect: { verdict: 'session-reset', error: '1/1' },
  },
  {
    name: 'RFC 4271 6.1: a length below 19 is 1/2 with the length as data',
    hex: `${MARKER}001204`,
    expect: { verdict: 'session-reset', error: '1/2:0012' },
  },
  {
    name: 'RFC 4271 6.1: a length above 4096 is 1/2',
    hex: `${MARKER}100102${'00'.repeat(4097 - 19)}`,
    expect: { verdict: 'session-reset', error: '1/2:1001' },
  },
  {
    name: 'RFC 8654 4: 4097 octets pass when extended messages were negotiated',
    hex: update({
      attributes: `400101004002060201 0000fde9 400304c0000201 d0ff0fe0${'ab'.repeat(4064)}`,
      nlri: '18cb0071',
    }),
    context: { extendedMessage: true },
    expect: { verdict: 'valid', announced: ['203.0.113.0/24 via 192.0.2.1'] },
  },
  {
    name: 'RFC 8654 4: an OPEN above 4096 octets is 1/2 even then',
    hex: message(1, `04fde9005ac0000209${'00'.repeat(4080)}`),
    context: { extendedMessage: true },
    expect: { verdict: 'session-reset', error: '1/2:100c' },
  },
  {
    name: 'RFC 4271 6.1: a KEEPALIVE of 20 octets is 1/2',
    hex: message(4, '00'),
    expect: { verdict: 'session-reset', error: '1/2:0014' },
  },
  {
    name: 'RFC 4271 6.1: an OPEN of 28 octets is 1/2',
    hex: message(1, '04fde9005ac0000209'),
    context: opensent,
    expect: { verdict: 'session-reset', error: '1/2:001c' },
  },
  {
    name: 'RFC 4271 6.1: an UPDATE of 22 octets is 1/2',
    hex: message(2, '000000'),
    expect: { verdict: 'session-reset', error: '1/2:0016' },
  },
  {
    name: 'RFC 4271 6.1: a NOTIFICATION of 20 octets is 1/2',
    hex: message(3, '06'),
    expect: { verdict: 'session-reset', error: '1/2:0014' },
  },
  {
    name: 'RFC 2918 3: a ROUTE-REFRESH of 22 octets is 1/2',
    hex: message(5, '000100'),
    expect: { verdict: 'session-reset', error: '1/2:0016' },
  },
  {
    name: 'RFC 4271 6.1: type 0 is 1/3 with the type as data',
    hex: `${MARKER}001300`,
    expect: { verdict: 'session-reset', error: '1/3:00' },
  },
  {
    name: 'RFC 4271 6.1: type 6 is 1/3',
    hex: `${MARKER}001306`,
    expect: { verdict: 'session-reset', error: '1/3:06' },
  },
  {
    name: 'a length field above the octets given is 1/2',
    hex: `${MARKER}001702000000`,
    expect: { verdict: 'session-reset', error: '1/2:0017' },
  },
  {
    name: 'a length field below the octets given is 1/2',
    hex: `${MARKER}00170200000000ff`,
    expect: { verdict: 'session-reset', error: '1/2:0017' },
  },
  {
    name: 'a wrong length comes before an unknown type',
    hex: `${MARKER}001409`,
    expect: { verdict: 'session-reset', error: '1/2:0014' },
  },
  { name: 'half a marker is 1/2', hex: 'ffffffff', expect: { verdict: 'session-reset', error: '1/2' } },
];

const PHASES: readonly Case[] = [
  {
    name: 'RFC 6608 3: KEEPALIVE in OpenSent is 5/1 with its type',
    hex: message(4, ''),
    context: opensent,
    expect: { verdict: 'session-reset', error: '5/1:04' },
  },
  {
    name: 'RFC 6608 3: UPDATE in OpenSent is 5/1',
    hex: update({}),
    context: opensent,
    expect: { verdict: 'session-reset', error: '5/1:02' },
  },
  {
    name: 'RFC 6608 3: UPDATE in OpenConfirm is 5/2',
    hex: update({}),
    context: openconfirm,
    expect: { verdict: 'session-reset', error: '5/2:02' },
  },
  {
    name: 'RFC 6608 3: OPEN in OpenConfirm is 5/2',
    hex: open(),
    context: openconfirm,
    expect: { verdict: 'session-reset', error: '5/2:01' },
  },
  {
    name: 'RFC 4271 8.2.2: KEEPALIVE in OpenConfirm',
    hex: message(4, ''),
    context: openconfirm,
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 6608 3: OPEN in Established is 5/3',
    hex: open(),
    expect: { verdict: 'session-reset', error: '5/3:01' },
  },
  {
    name: 'RFC 6608 3: ROUTE-REFRESH in OpenSent is 5/1',
    hex: message(5, '00010001'),
    context: opensent,
    expect: { verdict: 'session-reset', error: '5/1:05' },
  },
  {
    name: 'RFC 4271 6.4: a NOTIFICATION closes in OpenSent',
    hex: message(3, '0201'),
    context: opensent,
    expect: { verdict: 'close' },
  },
  {
    name: 'RFC 9003 2: a NOTIFICATION closes, whatever its data',
    hex: message(3, '0602ff41'),
    expect: { verdict: 'close' },
  },
];

const REFRESH: readonly Case[] = [
  { name: 'RFC 2918 3: a refresh', hex: message(5, '00010001'), expect: { verdict: 'valid' } },
  {
    name: 'RFC 2918 4: of a family that was not negotiated is ignored',
    hex: message(5, '00190046'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 7313 4.2: begin of refresh',
    hex: message(5, '00020101'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 7313 5: an unknown subtype is ignored',
    hex: message(5, '0001ff01'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 7313 5: begin of refresh with more than 4 octets is 7/1 with the message as data',
    hex: message(5, '0001010100'),
    expect: { verdict: 'session-reset', error: `7/1:${message(5, '0001010100')}` },
  },
  {
    name: 'RFC 7313 5: end of refresh with more than 4 octets is 7/1',
    hex: message(5, '000102010000'),
    expect: { verdict: 'session-reset', error: `7/1:${message(5, '000102010000')}` },
  },
  {
    name: 'RFC 5291 4: a request with an ORF that was not negotiated is a request',
    hex: message(5, '0001000101'),
    expect: { verdict: 'valid' },
  },
];

const OPENS: readonly Case[] = [
  { name: 'RFC 4271 4.2: without parameters', hex: open(), expect: { verdict: 'valid' } },
  {
    name: 'RFC 4271 6.2: version 3 is 2/1 with our version',
    hex: open('00', '03 fde9 005a c0000209'),
    expect: { verdict: 'session-reset', error: '2/1:0004' },
  },
  {
    name: 'RFC 4271 6.2: the version comes before all else',
    hex: open('05ff', '03 0000 0001 00000000'),
    expect: { verdict: 'session-reset', error: '2/1:0004' },
  },
  {
    name: 'RFC 4271 6.2: another AS is 2/2',
    hex: open('00', '04 fdea 005a c0000209'),
    expect: { verdict: 'session-reset', error: '2/2' },
  },
  {
    name: 'RFC 7607 2: AS 0 is 2/2',
    hex: open('00', '04 0000 005a c0000209'),
    expect: { verdict: 'session-reset', error: '2/2' },
  },
  {
    name: 'RFC 7607 2: AS 0 in capability 65 is 2/2',
    hex: open(capabilities('410400000000')),
    expect: { verdict: 'session-reset', error: '2/2' },
  },
  {
    name: 'RFC 6793 4.1: the AS of capability 65 counts',
    hex: open(capabilities('4104fa56ea00'), '04 5ba0 005a c0000209'),
    context: { peerAs: 4200000000 },
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 6793 4.1: AS_TRANS alone is not the expected large AS',
    hex: open('00', '04 5ba0 005a c0000209'),
    context: { peerAs: 4200000000 },
    expect: { verdict: 'session-reset', error: '2/2' },
  },
  {
    name: 'RFC 4271 6.2: hold time 1 is 2/6',
    hex: open('00', '04 fde9 0001 c0000209'),
    expect: { verdict: 'session-reset', error: '2/6' },
  },
  {
    name: 'RFC 4271 6.2: hold time 2 is 2/6',
    hex: open('00', '04 fde9 0002 c0000209'),
    expect: { verdict: 'session-reset', error: '2/6' },
  },
  {
    name: 'RFC 4271 4.2: hold time 0',
    hex: open('00', '04 fde9 0000 c0000209'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 4271 4.2: hold time 3',
    hex: open('00', '04 fde9 0003 c0000209'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 4271 6.2: AS before hold time',
    hex: open('00', '04 fdea 0001 c0000209'),
    expect: { verdict: 'session-reset', error: '2/2' },
  },
  {
    name: 'RFC 6286 2.2: identifier 0 is 2/3',
    hex: open('00', '04 fde9 005a 00000000'),
    expect: { verdict: 'session-reset', error: '2/3' },
  },
  {
    name: 'RFC 6286 2.1: an identifier that is no host address will do',
    hex: open('00', '04 fde9 005a e0000001'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 6286 2.2: our own identifier from an internal peer is 2/3',
    hex: open('00', '04 fde8 005a c0000209'),
    context: { peerKind: 'ibgp', peerAs: 65000, localRouterId: 0xc0000209 },
    expect: { verdict: 'session-reset', error: '2/3' },
  },
  {
    name: 'RFC 6286 2.1: our own identifier from another AS will do',
    hex: open(),
    context: { localRouterId: 0xc0000209 },
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 4271 6.2: an unknown parameter type is 2/4',
    hex: open('03 01 01 00'),
    expect: { verdict: 'session-reset', error: '2/4' },
  },
  {
    name: 'RFC 4271 6.2: hold time before parameters',
    hex: open('03 01 01 00', '04 fde9 0001 c0000209'),
    expect: { verdict: 'session-reset', error: '2/6' },
  },
  {
    name: 'RFC 4271 6.2: parameters past the end are 2/0',
    hex: open('05 02 02 02'),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 4271 6.2: octets after the parameters are 2/0',
    hex: open('00 00'),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 4271 6.2: a parameter past the parameters is 2/0',
    hex: open('04 02 06 02 00'),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 4271 6.2: a parameter of one octet is 2/0',
    hex: open('01 02'),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 5492 4: a capability past its parameter is 2/0',
    hex: open(capabilities('0105 00010001')),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 5492 4: a capability without a length is 2/0',
    hex: open(capabilities('0200 02')),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 6793 3: capability 65 of 2 octets is 2/0',
    hex: open(capabilities('4102fde9')),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 5492 3: unknown capabilities are ignored',
    hex: open(capabilities('8a03010203 f000')),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 5492 4: one parameter for each capability',
    hex: open('10 0206010400010001 020641040000fde9'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 9072 2: extended parameters',
    hex: open('ff ff 000b 02 0008 0104 00010001 0200'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 9072 2: extended parameters, the one-octet length is not looked at',
    hex: open('01 ff 000b 02 0008 0104 00010001 0200'),
    expect: { verdict: 'valid' },
  },
  {
    name: 'RFC 9072 2: extended parameters past the end are 2/0',
    hex: open('ff ff 000c 02 0008 0104 00010001 0200'),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 9072 2: extended parameters without their length are 2/0',
    hex: open('ff ff'),
    expect: { verdict: 'session-reset', error: '2/0' },
  },
  {
    name: 'RFC 7911 4: an unknown send/receive value is ignored',
    hex: open(capabilities('4504 00010107')),
    expect: { verdict: 'valid' },
  },
];

describe('wire verdict: headers and short messages', () => {
  describe('header', () => verdictTests(HEADERS));
  describe('state', () => verdictTests(PHASES));
  describe('ROUTE-REFRESH', () => verdictTests(REFRESH));
  describe('OPEN', () =>
    verdictTests(OPENS.map((entry) => ({ ...entry, context: { ...opensent, ...entry.context } }))));
});

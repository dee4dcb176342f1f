/** Headers, OPEN, KEEPALIVE, NOTIFICATION, ROUTE-REFRESH and the states of a session: the verdicts that the RFCs ask for. */

import type { LineContext, Row } from './rows.ts';
import { MANDATORY, MARKER, message, NLRI, update } from './support.ts';

const OPENSENT: LineContext = { phase: 'opensent' };
const OPENCONFIRM: LineContext = { phase: 'openconfirm' };
const EXTMSG: LineContext = { extmsg: true };

const FIXED = '04 fde9 005a c0000209';
const hex8 = (value: number): string => value.toString(16).padStart(2, '0');
const hex16 = (value: number): string => value.toString(16).padStart(4, '0');
const flat = (text: string): string => text.replace(/\s+/g, '');
const octetsOf = (text: string): number => flat(text).length / 2;

/** An OPEN with one parameter that holds these capabilities. */
const offer = (capabilities: string, fixed = FIXED): string =>
  message(1, `${fixed}${hex8(2 + octetsOf(capabilities))}02${hex8(octetsOf(capabilities))}${capabilities}`);
const open = (rest: string, fixed = FIXED): string => message(1, `${fixed}${rest}`);
/** An UPDATE of exactly this many octets, filled up by an unknown attribute. */
const longUpdate = (octets: number): string => {
  const value = octets - 19 - 4 - octetsOf(MANDATORY) - 4 - octetsOf(NLRI);
  return update({ attributes: `${MANDATORY}d063${hex16(value)}${'00'.repeat(value)}`, nlri: NLRI });
};
const longNotification = (octets: number): string => message(3, `0602${'00'.repeat(octets - 21)}`);
const ROUTE = '+203.0.113.0/24@192.0.2.1';

const HEADERS: readonly Row[] = [
  ['marker of zeroes', `${'00'.repeat(16)}001304`, 'reset 1/1'],
  ['first octet of the marker', `00${'ff'.repeat(15)}001304`, 'reset 1/1'],
  ['last octet of the marker', `${'ff'.repeat(15)}fe001304`, 'reset 1/1'],
  ['marker before length', `${'ff'.repeat(15)}fe001209`, 'reset 1/1'],
  ['marker before the octets that are missing', '00', 'reset 1/1'],
  ['another protocol', '485454502f312e312034303020426164', 'reset 1/1'],
  ['length 0', `${MARKER}000004`, 'reset 1/2 0000'],
  ['length 18', `${MARKER}001204`, 'reset 1/2 0012'],
  ['length 65535', `${MARKER}ffff04`, 'reset 1/2 ffff'],
  ['length one above the octets given', `${MARKER}001804 00000000`, 'reset 1/2 0018'],
  ['length one below the octets given', `${MARKER}001704 0000000000`, 'reset 1/2 0017'],
  ['an UPDATE shorter than its length says', `${MARKER}002002 00000000`, 'reset 1/2 0020'],
  ['16 octets', MARKER, 'reset 1/2'],
  ['17 octets', `${MARKER}00`, 'reset 1/2 00'],
  ['18 octets', `${MARKER}0013`, 'reset 1/2 0013'],
  ['type 0', message(0, ''), 'reset 1/3 00'],
  ['type 6', message(6, ''), 'reset 1/3 06'],
  ['type 128', message(128, '00'), 'reset 1/3 80'],
  ['type 255', message(255, 'abcd'), 'reset 1/3 ff'],
  ['an unknown type while the OPEN is awaited', message(6, ''), 'reset 1/3 06', OPENSENT],
  ['length before type', `${MARKER}001209`, 'reset 1/2 0012'],
  ['KEEPALIVE of 20 octets', message(4, '00'), 'reset 1/2 0014'],
  ['UPDATE of 22 octets', message(2, '000000'), 'reset 1/2 0016'],
  ['UPDATE of 23 octets', message(2, '00000000'), 'valid'],
  ['NOTIFICATION of 19 octets', message(3, ''), 'reset 1/2 0013'],
  ['NOTIFICATION of 20 octets', message(3, '06'), 'reset 1/2 0014'],
  ['ROUTE-REFRESH of 22 octets', message(5, '000100'), 'reset 1/2 0016'],
  ['OPEN of 28 octets', message(1, '04fde9005ac0000209'), 'reset 1/2 001c', OPENSENT],
  ['UPDATE of 4096 octets', longUpdate(4096), `valid ${ROUTE}`],
  ['UPDATE of 4097 octets', longUpdate(4097), 'reset 1/2 1001'],
  ['UPDATE of 4097 octets, extended messages', longUpdate(4097), `valid ${ROUTE}`, EXTMSG],
  ['UPDATE of 65535 octets, extended messages', longUpdate(65535), `valid ${ROUTE}`, EXTMSG],
  ['NOTIFICATION of 4097 octets', longNotification(4097), 'reset 1/2 1001'],
  ['NOTIFICATION of 4097 octets, extended messages', longNotification(4097), 'close', EXTMSG],
  [
    'ROUTE-REFRESH of 4097 octets, extended messages',
    message(5, `00010001${'00'.repeat(4074)}`),
    'valid',
    EXTMSG,
  ],
  [
    'OPEN of 4097 octets, extended messages',
    open(`ffff${hex16(4065)}${'00'.repeat(4065)}`),
    'reset 1/2 1001',
    { ...OPENSENT, ...EXTMSG },
  ],
  ['KEEPALIVE of 4097 octets, extended messages', message(4, '00'.repeat(4078)), 'reset 1/2 1001', EXTMSG],
];

const STATES: readonly Row[] = [
  ['OPEN in OpenSent', open('00'), 'valid', OPENSENT],
  ['KEEPALIVE in OpenSent', message(4, ''), 'reset 5/1 04', OPENSENT],
  ['UPDATE in OpenSent', update({}), 'reset 5/1 02', OPENSENT],
  ['ROUTE-REFRESH in OpenSent', message(5, '00010001'), 'reset 5/1 05', OPENSENT],
  ['NOTIFICATION in OpenSent', message(3, '0202'), 'close', OPENSENT],
  ['KEEPALIVE in OpenConfirm', message(4, ''), 'valid', OPENCONFIRM],
  ['OPEN in OpenConfirm', open('00'), 'reset 5/2 01', OPENCONFIRM],
  ['UPDATE in OpenConfirm', update({ attributes: MANDATORY, nlri: NLRI }), 'reset 5/2 02', OPENCONFIRM],
  ['a damaged UPDATE in OpenConfirm', message(2, 'ffff0000'), 'reset 5/2 02', OPENCONFIRM],
  ['ROUTE-REFRESH in OpenConfirm', message(5, '00010001'), 'reset 5/2 05', OPENCONFIRM],
  ['NOTIFICATION in OpenConfirm', message(3, '0400'), 'close', OPENCONFIRM],
  ['KEEPALIVE in Established', message(4, ''), 'valid'],
  ['OPEN in Established', open('00'), 'reset 5/3 01'],
  ['a damaged OPEN in Established', open('ff'), 'reset 5/3 01'],
  ['KEEPALIVE with a body in OpenSent: the header comes first', message(4, '00'), 'reset 1/2 0014', OPENSENT],
];

const NOTIFICATIONS: readonly Row[] = [
  ['hold timer expired', message(3, '0400'), 'close'],
  ['cease with a text', message(3, `060203${'414243'}`), 'close'],
  ['cease with a text past its end', message(3, '0602ff41'), 'close'],
  ['cease with what is no UTF-8', message(3, '060202c328'), 'close'],
  ['an unknown code', message(3, 'c8c9'), 'close'],
  ['code 0', message(3, '0000'), 'close'],
  ['hard reset', message(3, '06090602'), 'close'],
  ['of 4096 octets', longNotification(4096), 'close'],
];

const REFRESHES: readonly Row[] = [
  ['IPv4', message(5, '00010001'), 'valid'],
  ['IPv6', message(5, '00020001'), 'valid'],
  ['a family that was not negotiated', message(5, '00020001'), 'valid', { families: ['ipv4-unicast'] }],
  ['a family that we do not know', message(5, '00190046'), 'valid'],
  ['begin of refresh', message(5, '00010101'), 'valid'],
  ['end of refresh', message(5, '00010201'), 'valid'],
  ['subtype 3', message(5, '00010301'), 'valid'],
  ['subtype 255', message(5, '0001ff01'), 'valid'],
  ['subtype 3 with more octets', message(5, '00010301ff'), 'valid'],
  ['begin of refresh of 5 octets', message(5, '0001010100'), `reset 7/1 ${message(5, '0001010100')}`],
  [
    'end of refresh of 8 octets',
    message(5, '0001020100000000'),
    `reset 7/1 ${message(5, '0001020100000000')}`,
  ],
  ['a request with a filter (RFC 5291) that nobody asked for', message(5, '00010001014000070118'), 'valid'],
];

const CAPABILITY_4 = '0104 0001 0001';

const OPENS: readonly Row[] = [
  ['version 3', open('00', '03 fde9 005a c0000209'), 'reset 2/1 0004'],
  ['version 0', open('00', '00 fde9 005a c0000209'), 'reset 2/1 0004'],
  ['version 255, and all else wrong', open('05ff', 'ff 0000 0001 00000000'), 'reset 2/1 0004'],
  ['AS 0', open('00', '04 0000 005a c0000209'), 'reset 2/2'],
  ['AS 0, the right one in capability 65', offer('41040000fde9', '04 0000 005a c0000209'), 'reset 2/2'],
  ['another AS', open('00', '04 fdea 005a c0000209'), 'reset 2/2'],
  ['another AS in capability 65', offer('41040000fdea'), 'reset 2/2'],
  ['AS 0 in capability 65', offer('410400000000'), 'reset 2/2'],
  ['our own AS from an external peer', open('00', '04 fde8 005a c0000209'), 'reset 2/2'],
  [
    'AS_TRANS with the right AS in capability 65',
    offer('4104000f4240', '04 5ba0 005a c0000209'),
    'valid',
    { peerAs: 1000000 },
  ],
  [
    'AS_TRANS with another AS in capability 65',
    offer('4104000f4241', '04 5ba0 005a c0000209'),
    'reset 2/2',
    { peerAs: 1000000 },
  ],
  ['AS_TRANS alone', open('00', '04 5ba0 005a c0000209'), 'reset 2/2', { peerAs: 1000000 }],
  ['AS_TRANS alone where a small AS is due', open('00', '04 5ba0 005a c0000209'), 'reset 2/2'],
  ['AS_TRANS beside a small AS in capability 65', offer('41040000fde9', '04 5ba0 005a c0000209'), 'valid'],
  ['an internal peer', open('00', '04 fde8 005a c0000209'), 'valid', { peer: 'ibgp', peerAs: 65000 }],
  ['hold time 0', open('00', '04 fde9 0000 c0000209'), 'valid'],
  ['hold time 1', open('00', '04 fde9 0001 c0000209'), 'reset 2/6'],
  ['hold time 2', open('00', '04 fde9 0002 c0000209'), 'reset 2/6'],
  ['hold time 3', open('00', '04 fde9 0003 c0000209'), 'valid'],
  ['hold time 65535', open('00', '04 fde9 ffff c0000209'), 'valid'],
  ['AS before hold time', open('00', '04 fdea 0002 c0000209'), 'reset 2/2'],
  ['hold time before identifier', open('00', '04 fde9 0002 00000000'), 'reset 2/6'],
  ['identifier 0', open('00', '04 fde9 005a 00000000'), 'reset 2/3'],
  ['identifier 0.0.0.1', open('00', '04 fde9 005a 00000001'), 'valid'],
  ['identifier 224.0.0.1 (RFC 6286)', open('00', '04 fde9 005a e0000001'), 'valid'],
  ['identifier 255.255.255.255', open('00', '04 fde9 005a ffffffff'), 'valid'],
  ['identifier before parameters', open('0401', '04 fde9 005a 00000000'), 'reset 2/3'],
  ['no parameters', open('00'), 'valid', { phase: 'opensent' }],
  ['octets after no parameters', open('0000'), 'reset 2/0'],
  ['parameters past the end', open('08 02 06 01 04'), 'reset 2/0'],
  ['parameters that leave octets', open(`08 02 06 ${CAPABILITY_4} 00`), 'reset 2/0'],
  ['a parameter past the parameters', open(`08 02 07 ${CAPABILITY_4}`), 'reset 2/0'],
  ['a parameter without a length', open(`09 02 06 ${CAPABILITY_4} 02`), 'reset 2/0'],
  ['an empty parameter', open('02 02 00'), 'valid'],
  ['parameter type 0', open('02 00 00'), 'reset 2/4'],
  ['parameter type 1, authentication', open('03 01 01 00'), 'reset 2/4'],
  ['parameter type 200 after capabilities', open(`0a 02 06 ${CAPABILITY_4} c8 00`), 'reset 2/4'],
  ['parameter type 255 that is not the first one', open(`0a 02 06 ${CAPABILITY_4} ff 00`), 'reset 2/4'],
  ['many capabilities in one parameter', offer(`${CAPABILITY_4} 0200 4600 41040000fde9 0600`), 'valid'],
  ['one parameter for each capability', open(`0c 02 06 ${CAPABILITY_4} 02 02 0200`), 'valid'],
  ['one capability three times', offer(CAPABILITY_4.repeat(3)), 'valid'],
  ['unknown capabilities', offer('8000 fe03010203'), 'valid'],
  ['families of which we know none', offer('0104 0019 0046'), 'valid'],
  ['a capability past its parameter', offer('0105 0001 0001'), 'reset 2/0'],
  ['a capability without a length', offer('0200 02'), 'reset 2/0'],
  ['capability 1 of 3 octets', offer('0103 0001 01'), 'reset 2/0'],
  ['capability 2 with a value', offer('0201 00'), 'reset 2/0'],
  ['capability 5 of 5 octets', offer('0505 0001000100'), 'reset 2/0'],
  ['capability 5', offer('0506 000100010002'), 'valid'],
  ['capability 6 with a value', offer('0601 00'), 'reset 2/0'],
  ['capability 9 of 2 octets', offer('0902 0000'), 'reset 2/0'],
  ['capability 9, a role where none is ours', offer('0901 03'), 'valid'],
  ['capability 9, an unknown role', offer('0901 63'), 'valid'],
  ['capability 64 of 1 octet', offer('4001 00'), 'reset 2/0'],
  ['capability 64 of 5 octets', offer('4005 0078000101'), 'reset 2/0'],
  ['capability 64 without families', offer('4002 8078'), 'valid'],
  ['capability 64 with two families', offer('400a c078 00010180 00020180'), 'valid'],
  ['capability 65 of 2 octets', offer('4102 fde9'), 'reset 2/0'],
  ['capability 69 of 3 octets', offer('4503 000101'), 'reset 2/0'],
  ['capability 69, send/receive 4 for one of two families', offer('4508 00010104 00020103'), 'valid'],
  ['capability 70 with a value', offer('4601 00'), 'reset 2/0'],
  ['capability 71 of 6 octets', offer('4706 000101800000'), 'reset 2/0'],
  ['capability 71', offer('4707 00010180 00003c'), 'valid'],
  ['capability 73, a name past its end: only informs', offer('4902 0541'), 'valid'],
  ['capability 75, a version past its end: only informs', offer('4b02 0541'), 'valid'],
  ['extended parameters', open(`ff ff 0009 02 0006 ${CAPABILITY_4}`), 'valid'],
  ['extended parameters, the short length not 255', open(`0c ff 0009 02 0006 ${CAPABILITY_4}`), 'valid'],
  ['extended parameters, none', open('ff ff 0000'), 'valid'],
  ['extended parameters past the end', open(`ff ff 000a 02 0006 ${CAPABILITY_4}`), 'reset 2/0'],
  ['extended parameters that leave octets', open(`ff ff 0009 02 0006 ${CAPABILITY_4} 00`), 'reset 2/0'],
  ['extended parameters, a parameter past the end', open(`ff ff 0009 02 0007 ${CAPABILITY_4}`), 'reset 2/0'],
  ['extended parameters, the length cut', open('ff ff 00'), 'reset 2/0'],
  ['extended parameters, a parameter cut', open('ff ff 0002 02 00'), 'reset 2/0'],
  ['extended parameters, an unknown one', open('ff ff 0004 07 0001 00'), 'reset 2/4'],
  [
    'extended parameters of 300 octets',
    open(`ff ff 012c 02 0129 ${'e0fd'}${'00'.repeat(253)} e028${'00'.repeat(40)}`),
    'valid',
  ],
  ['255 octets of parameters in the short form', open(`ff 02 fd e0fb${'00'.repeat(251)}`), 'valid'],
];

export const SESSION_TABLES: Readonly<Record<string, readonly Row[]>> = {
  'header (RFC 4271 6.1, RFC 8654)': HEADERS,
  'states (RFC 6608)': STATES,
  'NOTIFICATION (RFC 4271 6.4, RFC 9003, RFC 8538)': NOTIFICATIONS,
  'ROUTE-REFRESH (RFC 2918, RFC 7313)': REFRESHES,
  'OPEN (RFC 4271 6.2, RFC 5492, RFC 6286, RFC 6793, RFC 7607, RFC 9072)': OPENS.map(
    ([name, hex, expected, ctx]): Row => [name, hex, expected, { ...OPENSENT, ...ctx }],
  ),
};

/** MP_REACH_NLRI and MP_UNREACH_NLRI: RFC 4760 3 and 4, next hops of RFC 2545 3 and RFC 8950 3, errors by RFC 7606 5.3 and 7.11. */
import type { Family } from '../../src/net/address.ts';
import { isMartianNextHop } from './attribute-checks.ts';
import type { AttributeScan } from './attribute-scan.ts';
import { type Findings, finding } from './findings.ts';
import { nlriProblem } from './nlri.ts';
import { UPDATE_ERROR } from './registry.ts';
import type { DecodeContext, NlriRange } from './types.ts';

/** What an MP_REACH_NLRI says. */
export interface MpReach {
  /** undefined: no NLRI, or of a family that was not negotiated */
  readonly range: NlriRange | undefined;
  /** the attribute carries NLRI, of whatever family */
  readonly hasNlri: boolean;
  readonly nextHopStart: number;
  /** 4, 16 or 32 as received */
  readonly nextHopOctets: number;
}

const AFI_SAFI_OCTETS = 3;

/** Reads a noted MP_UNREACH_NLRI; undefined when it withdraws nothing that we know. */
export function readMpUnreach(
  body: Uint8Array,
  scan: AttributeScan,
  number: number,
  context: DecodeContext,
  findings: Findings,
): NlriRange | undefined {
  const start = scan.start(number) + AFI_SAFI_OCTETS;
  const end = scan.end(number);
  if (start > end) {
    reset(body, scan, number, findings, 'MP_UNREACH_NLRI is shorter than 3 octets');
    return undefined;
  }
  const family = scan.familyAt(body, number, context);
  if (family === undefined || start === end) return undefined;
  return readRange(body, scan, number, start, family, context, findings);
}

/** Reads a noted MP_REACH_NLRI; undefined when it is malformed. */
export function readMpReach(
  body: Uint8Array,
  scan: AttributeScan,
  number: number,
  context: DecodeContext,
  findings: Findings,
): MpReach | undefined {
  const start = scan.start(number);
  const end = scan.end(number);
  if (end - start < AFI_SAFI_OCTETS + 2) {
    reset(body, scan, number, findings, 'MP_REACH_NLRI is shorter than 5 octets');
    return undefined;
  }
  const nextHopOctets = body[start + AFI_SAFI_OCTETS] ?? 0;
  const nextHopStart = start + AFI_SAFI_OCTETS + 1;
  // One reserved octet follows the next hop; it is not looked at (RFC 4760 3).
  const nlriStart = nextHopStart + nextHopOctets + 1;
  if (nlriStart > end) {
    reset(body, scan, number, findings, 'the next hop runs past the end of MP_REACH_NLRI');
    return undefined;
  }
  const hasNlri = nlriStart < end;
  const family = scan.familyAt(body, number, context);
  if (family === undefined) return { range: undefined, hasNlri, nextHopStart, nextHopOctets };
  if (!isNextHopLength(nextHopOctets, family, context)) {
    const reason = `a next hop of ${nextHopOctets} octets for ${family} in MP_REACH_NLRI`;
    reset(body, scan, number, findings, reason);
    return undefined;
  }
  if (!hasNlri) return { range: undefined, hasNlri, nextHopStart, nextHopOctets };
  if (!hasUsableNextHop(body, nextHopStart, nextHopOctets)) {
    const reason = 'the next hop of MP_REACH_NLRI is no address of a host';
    findings.add(
      finding('treat-as-withdraw', UPDATE_ERROR.invalidNextHop, reason),
      scan.code(number),
      scan.octets(body, number),
    );
  }
  const range = readRange(body, scan, number, nlriStart, family, context, findings);
  return range && { range, hasNlri, nextHopStart, nextHopOctets };
}

/** IPv6: a global address, or that and a link-local one (RFC 2545 3). IPv4: 4, or as IPv6 if RFC 8950 was negotiated. */
function isNextHopLength(octets: number, family: Family, context: DecodeContext): boolean {
  if (family === 'ipv4' && octets === 4) return true;
  if (family === 'ipv4' && !context.extendedNextHop) return false;
  return octets === 16 || octets === 32;
}

function hasUsableNextHop(body: Uint8Array, at: number, octets: number): boolean {
  // Peers without a global address send :: and the link-local one.
  if (octets === 32 && isUnspecified(body, at) && isLinkLocalAt(body, at + 16)) return true;
  return !isMartianNextHop(body, at, Math.min(octets, 16));
}

/** Whether 16 octets are all zero. */
export function isUnspecified(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 16; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

/** fe80::/10 */
export function isLinkLocalAt(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xfe && ((bytes[at + 1] ?? 0) & 0xc0) === 0x80;
}

function readRange(
  body: Uint8Array,
  scan: AttributeScan,
  number: number,
  start: number,
  family: Family,
  context: DecodeContext,
  findings: Findings,
): NlriRange | undefined {
  const end = scan.end(number);
  const addPath = context.addPathReceive[family];
  const problem = nlriProblem(body, start, end, family, addPath);
  if (problem !== undefined) {
    reset(body, scan, number, findings, `NLRI of ${family}: ${problem}`);
    return undefined;
  }
  return { family, start, end, addPath };
}

/** RFC 4760 7 names 3/9 for an incorrect attribute; that the family alone be disabled is allowed but helps nobody here. */
function reset(
  body: Uint8Array,
  scan: AttributeScan,
  number: number,
  findings: Findings,
  reason: string,
): void {
  findings.add(
    finding('session-reset', UPDATE_ERROR.optionalAttribute, reason),
    scan.code(number),
    scan.octets(body, number),
  );
}

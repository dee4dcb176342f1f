/**
 * UPDATE: RFC 4271 4.3 and 6.3 as revised by RFC 7606, MP_REACH_NLRI and MP_UNREACH_NLRI of RFC 4760. One pass over the attributes notes
 * where each stands and what is wrong with it; then the verdict; then, for a good message, the attribute key.
 */
import { isMartianNextHop } from './attribute-checks.ts';
import { KeyBuilder } from './attribute-key.ts';
import { AttributeScan } from './attribute-scan.ts';
import { uint16 } from './bytes.ts';
import { Findings, finding } from './findings.ts';
import { type MpReach, readMpReach, readMpUnreach } from './multiprotocol.ts';
import { nlriProblem } from './nlri.ts';
import { notification } from './notification.ts';
import { ATTRIBUTE, ERROR, HEADER_OCTETS, MAX_EXTENDED_MESSAGE_OCTETS, UPDATE_ERROR } from './registry.ts';
import type { AttributeKey, DecodeContext, DecodedUpdate, NlriRange, ReachRun, Verdict } from './types.ts';

// Decoding is synchronous and keeps nothing between calls, so all sessions share the scratch space.
const scan = new AttributeScan();
const keys = new KeyBuilder();
const findings = new Findings();

const NO_RANGES: readonly NlriRange[] = [];
const NO_RUNS: readonly ReachRun[] = [];

const BAD_NETWORK = UPDATE_ERROR.invalidNetworkField;
const MARTIAN_NEXT_HOP = finding(
  'treat-as-withdraw',
  UPDATE_ERROR.invalidNextHop,
  'the next hop is no address of a host',
);
const NO_ORIGIN = missing('ORIGIN');
const NO_AS_PATH = missing('AS_PATH');
const NO_NEXT_HOP = missing('NEXT_HOP');

function missing(name: string) {
  return finding('treat-as-withdraw', UPDATE_ERROR.missingWellKnownAttribute, `${name} is missing`);
}

/**
 * Decodes the body of an UPDATE. Total: any octets give a verdict. The result borrows `body`: its ranges are offsets into it and hold as long
 * as its octets do; attribute keys are copies.
 */
export function decodeUpdate(body: Uint8Array, context: DecodeContext): DecodedUpdate {
  return withOwnKeys(readUpdate(body, 0, body.length, context));
}

/** An update whose attribute keys outlive the next `readUpdate`. */
export function withOwnKeys(update: DecodedUpdate): DecodedUpdate {
  if (update.reach.length === 0) return update;
  const reach = update.reach.map(({ nlri, attributes }) => ({ nlri, attributes: attributes.slice() }));
  return { ...update, reach };
}

/**
 * As `decodeUpdate` of the body that stands in `octets[start..end)`, without copies: `body` of the result is `octets`, and its attribute keys are
 * borrowed too, until the next message is decoded. For whoever interns them at once.
 */
export function readUpdate(
  octets: Uint8Array,
  start: number,
  end: number,
  context: DecodeContext,
): DecodedUpdate {
  const withdrawnEnd = start + 2 + uint16(octets, start);
  const attributesStart = withdrawnEnd + 2;
  // What lies behind the message is no length of it.
  const nlriStart = attributesStart <= end ? attributesStart + uint16(octets, withdrawnEnd) : attributesStart;
  // RFC 7606 3(b)
  if (nlriStart > end || end - start > MAX_EXTENDED_MESSAGE_OCTETS - HEADER_OCTETS) {
    return resetUpdate(octets, {
      kind: 'session-reset',
      error: notification(ERROR.updateMessage, UPDATE_ERROR.malformedAttributeList),
      reason: 'the withdrawn routes and attributes are longer than the message',
    });
  }

  findings.clear();
  const bodyWithdrawn = readBodyNlri(octets, start + 2, withdrawnEnd, context, 'withdrawn routes');
  scan.read(octets, attributesStart, nlriStart, context, findings);
  const bodyReach = readBodyNlri(octets, nlriStart, end, context, 'NLRI');

  const unreachAt = scan.indexOf(ATTRIBUTE.mpUnreachNlri);
  const reachAt = scan.indexOf(ATTRIBUTE.mpReachNlri);
  const mpUnreach = unreachAt >= 0 ? readMpUnreach(octets, scan, unreachAt, context, findings) : undefined;
  const mpReach = reachAt >= 0 ? readMpReach(octets, scan, reachAt, context, findings) : undefined;

  const hasReachable = nlriStart < end || mpReach?.hasNlri === true;
  if (hasReachable) checkMandatory(octets, bodyReach !== undefined);

  const verdict = findings.verdict(hasReachable);
  if (verdict.kind === 'session-reset') return resetUpdate(octets, verdict);

  const withdrawn = rangesOf(bodyWithdrawn, mpUnreach);
  if (verdict.kind === 'treat-as-withdraw') {
    return {
      verdict,
      body: octets,
      withdrawn: [...withdrawn, ...rangesOf(bodyReach, mpReach?.range)],
      reach: NO_RUNS,
      discarded: findings.discarded,
      endOfRib: undefined,
    };
  }
  return {
    verdict,
    body: octets,
    withdrawn,
    reach: buildRuns(octets, bodyReach, mpReach, context),
    discarded: findings.discarded,
    endOfRib: endOfRibOf(octets, start, end, context, unreachAt),
  };
}

/** The NLRI of a field of the message itself (IPv4 unicast); undefined if there is none or the family was not negotiated. */
function readBodyNlri(
  body: Uint8Array,
  start: number,
  end: number,
  context: DecodeContext,
  field: string,
): NlriRange | undefined {
  if (start === end || !context.families.ipv4) return undefined;
  const addPath = context.addPathReceive.ipv4;
  const problem = nlriProblem(body, start, end, 'ipv4', addPath);
  if (problem !== undefined) {
    // RFC 7606 5.3 and 3(j): what cannot be parsed cannot be withdrawn.
    findings.add(finding('session-reset', BAD_NETWORK, `${field}: ${problem}`), 0);
    return undefined;
  }
  return { family: 'ipv4', start, end, addPath };
}

/** RFC 7606 3(d); NEXT_HOP only matters to NLRI of the body (RFC 4760 3), and only then whether it is a host's (RFC 4271 6.3). */
function checkMandatory(body: Uint8Array, needsNextHop: boolean): void {
  if (!scan.has(ATTRIBUTE.origin)) {
    findings.add(NO_ORIGIN, ATTRIBUTE.origin, Uint8Array.of(ATTRIBUTE.origin));
  }
  if (!scan.has(ATTRIBUTE.asPath)) {
    findings.add(NO_AS_PATH, ATTRIBUTE.asPath, Uint8Array.of(ATTRIBUTE.asPath));
  }
  if (!needsNextHop) return;
  const nextHop = scan.indexOf(ATTRIBUTE.nextHop);
  if (nextHop < 0) {
    if (!scan.has(ATTRIBUTE.nextHop)) {
      findings.add(NO_NEXT_HOP, ATTRIBUTE.nextHop, Uint8Array.of(ATTRIBUTE.nextHop));
    }
  } else if (isMartianNextHop(body, scan.start(nextHop), 4)) {
    findings.add(MARTIAN_NEXT_HOP, ATTRIBUTE.nextHop, scan.octets(body, nextHop));
  }
}

function buildRuns(
  body: Uint8Array,
  bodyReach: NlriRange | undefined,
  mpReach: MpReach | undefined,
  context: DecodeContext,
): readonly ReachRun[] {
  const mpRange = mpReach?.range;
  if (bodyReach === undefined && mpRange === undefined) return NO_RUNS;
  keys.build(body, scan, context);
  const nextHop = scan.indexOf(ATTRIBUTE.nextHop);
  const bodyRun =
    bodyReach === undefined || nextHop < 0
      ? undefined
      : { nlri: bodyReach, attributes: keys.withNextHop(body, scan.start(nextHop), 4) };
  if (mpReach === undefined || mpRange === undefined) return bodyRun === undefined ? NO_RUNS : [bodyRun];
  if (bodyRun === undefined) return [{ nlri: mpRange, attributes: keyOf(body, mpReach) }];
  // The second key is about to be written over the first.
  const kept = { nlri: bodyRun.nlri, attributes: bodyRun.attributes.slice() };
  return [kept, { nlri: mpRange, attributes: keyOf(body, mpReach) }];
}

function keyOf(body: Uint8Array, { nextHopStart, nextHopOctets }: MpReach): AttributeKey {
  return keys.withNextHop(body, nextHopStart, nextHopOctets);
}

function rangesOf(first: NlriRange | undefined, second: NlriRange | undefined): readonly NlriRange[] {
  if (first === undefined) return second === undefined ? NO_RANGES : [second];
  return second === undefined ? [first] : [first, second];
}

/** RFC 4724 2: an empty UPDATE, or one with nothing but an MP_UNREACH_NLRI that names a family and no routes. */
function endOfRibOf(
  octets: Uint8Array,
  start: number,
  end: number,
  context: DecodeContext,
  unreachAt: number,
): DecodedUpdate['endOfRib'] {
  if (end - start === 4) return context.families.ipv4 ? 'ipv4' : undefined;
  if (unreachAt < 0 || scan.count !== 1 || scan.end(unreachAt) - scan.start(unreachAt) !== 3)
    return undefined;
  // The attribute must be all there is: no withdrawn routes before it, no NLRI after it.
  if (uint16(octets, start) !== 0 || scan.end(unreachAt) !== end) return undefined;
  return scan.familyAt(octets, unreachAt, context);
}

function resetUpdate(body: Uint8Array, verdict: Verdict): DecodedUpdate {
  return { verdict, body, withdrawn: NO_RANGES, reach: NO_RUNS, discarded: [], endOfRib: undefined };
}

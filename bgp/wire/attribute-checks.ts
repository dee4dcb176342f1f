/** Checks of attribute values as received: RFC 7606 7 and the documents that define each attribute. */
import { AS_PATH_MOST } from '../../src/core/assembly/layout.ts';
import { type AsPathRules, asPathFirst, asPathProblem } from './as-path.ts';
import { uint16, uint32 } from './bytes.ts';
import { type Finding, finding } from './findings.ts';
import { AS_TRANS, SEGMENT, UPDATE_ERROR } from './registry.ts';
import type { DecodeContext } from './types.ts';

/** Looks at the value in `bytes[start..end)`; undefined when nothing is wrong with it. */
export type AttributeCheck = (
  bytes: Uint8Array,
  start: number,
  end: number,
  context: DecodeContext,
) => Finding | undefined;

const ORIGIN_LENGTH = finding(
  'treat-as-withdraw',
  UPDATE_ERROR.attributeLength,
  'ORIGIN is not 1 octet long',
);
const ORIGIN_VALUE = finding(
  'treat-as-withdraw',
  UPDATE_ERROR.invalidOrigin,
  'ORIGIN has an undefined value',
);

/** RFC 7606 7.1 */
export const checkOrigin: AttributeCheck = (bytes, start, end) => {
  if (end - start !== 1) return ORIGIN_LENGTH;
  return (bytes[start] ?? 255) > 2 ? ORIGIN_VALUE : undefined;
};

const SETS: AsPathRules = { confederationSegments: false, sets: true };
const NO_SETS: AsPathRules = { confederationSegments: false, sets: false };

/** RFC 7606 7.2, RFC 7607 2, RFC 5065 5; RFC 9774 3 and the first-AS check of RFC 4271 6.3 when asked for */
export const checkAsPath: AttributeCheck = (bytes, start, end, context) => {
  const rules = context.rejectAsSets === true ? NO_SETS : SETS;
  const problem = asPathProblem(bytes, start, end, context.as4 ? 4 : 2, rules);
  if (problem !== undefined) return badAsPath(problem);
  if ((end - start) * (context.as4 ? 1 : 2) > AS_PATH_MOST) return badAsPath('it is too long');
  if (context.enforceFirstAs !== true || context.peerKind !== 'ebgp') return undefined;
  const first = context.as4
    ? asPathFirst(bytes.subarray(start, end))
    : end - start >= 4 && bytes[start] === SEGMENT.sequence
      ? uint16(bytes, start + 2)
      : undefined;
  return first === expectedFirstAs(context)
    ? undefined
    : badAsPath(`it does not start with the peer's AS ${context.peerAs}`);
};

/** What an AS_PATH begins with that an external peer sends: its AS number. */
export function expectedFirstAs({ as4, peerAs }: DecodeContext): number {
  // One with a large number shows as AS_TRANS in a two-octet path (RFC 6793 4.2.2).
  return !as4 && peerAs > 0xffff ? AS_TRANS : peerAs;
}

function badAsPath(problem: string): Finding {
  return finding('treat-as-withdraw', UPDATE_ERROR.malformedAsPath, `AS_PATH: ${problem}`);
}

/** RFC 4271 6.3: whether an IPv4 or IPv6 address cannot be that of a host to forward to. Link-local ones can (RFC 2545 3). */
export function isMartianNextHop(bytes: Uint8Array, at: number, octets: number): boolean {
  const first = bytes[at] ?? 0;
  if (octets === 4) return first === 0 || first === 127 || first >= 224;
  if (first === 0xff) return true;
  for (let i = 0; i < 15; i++) if (bytes[at + i] !== 0) return false;
  return (bytes[at + 15] ?? 0) <= 1;
}

/** Exactly `octets` long. */
function fixedLength(name: string, octets: number): AttributeCheck {
  const wrong = finding(
    'treat-as-withdraw',
    UPDATE_ERROR.attributeLength,
    `${name} is not ${octets} octets long`,
  );
  return (_bytes, start, end) => (end - start === octets ? undefined : wrong);
}

/** A non-empty list of elements of `octets` each. */
function listOf(name: string, octets: number, subcode: number): AttributeCheck {
  const wrong = finding(
    'treat-as-withdraw',
    subcode,
    `${name} is not a non-empty list of ${octets}-octet values`,
  );
  return (_bytes, start, end) => (end > start && (end - start) % octets === 0 ? undefined : wrong);
}

/** An attribute that only internal peers may send. */
function internalOnly(name: string, check: AttributeCheck): AttributeCheck {
  const external = finding(
    'attribute-discard',
    UPDATE_ERROR.optionalAttribute,
    `${name} from an external peer`,
  );
  return (bytes, start, end, context) =>
    context.peerKind === 'ebgp' ? external : check(bytes, start, end, context);
}

/** RFC 7606 7.3; whether the address can be a next hop is looked at only if body NLRI needs it (RFC 4760 3) */
export const checkNextHop = fixedLength('NEXT_HOP', 4);
/** RFC 7606 7.4 */
export const checkMultiExitDisc = fixedLength('MULTI_EXIT_DISC', 4);
/** RFC 7606 7.5 */
export const checkLocalPref = internalOnly('LOCAL_PREF', fixedLength('LOCAL_PREF', 4));
/** RFC 7606 7.8 */
export const checkCommunities = listOf('COMMUNITIES', 4, UPDATE_ERROR.optionalAttribute);
/** RFC 7606 7.9 */
export const checkOriginatorId = internalOnly('ORIGINATOR_ID', fixedLength('ORIGINATOR_ID', 4));
/** RFC 7606 7.10 */
export const checkClusterList = internalOnly(
  'CLUSTER_LIST',
  listOf('CLUSTER_LIST', 4, UPDATE_ERROR.attributeLength),
);
/** RFC 7606 7.14 */
export const checkExtendedCommunities = listOf('EXTENDED COMMUNITIES', 8, UPDATE_ERROR.optionalAttribute);
/** RFC 7606 7.15 */
export const checkIpv6ExtendedCommunities = listOf(
  'IPv6 EXTENDED COMMUNITIES',
  20,
  UPDATE_ERROR.optionalAttribute,
);
/** RFC 8092 6 */
export const checkLargeCommunities = listOf('LARGE_COMMUNITY', 12, UPDATE_ERROR.optionalAttribute);
/** RFC 9234 5 */
export const checkOnlyToCustomer = fixedLength('ONLY_TO_CUSTOMER', 4);

const ATOMIC_AGGREGATE_LENGTH = finding(
  'attribute-discard',
  UPDATE_ERROR.attributeLength,
  'ATOMIC_AGGREGATE is not empty',
);

/** RFC 7606 7.6 */
export const checkAtomicAggregate: AttributeCheck = (_bytes, start, end) =>
  start === end ? undefined : ATOMIC_AGGREGATE_LENGTH;

const AGGREGATOR_LENGTH = finding(
  'attribute-discard',
  UPDATE_ERROR.attributeLength,
  'AGGREGATOR has the wrong length',
);
const AGGREGATOR_AS_0 = finding(
  'attribute-discard',
  UPDATE_ERROR.optionalAttribute,
  'AGGREGATOR with AS number 0',
);

/** RFC 7606 7.7, RFC 7607 2 */
export const checkAggregator: AttributeCheck = (bytes, start, end, context) => {
  if (end - start !== (context.as4 ? 8 : 6)) return AGGREGATOR_LENGTH;
  const as = context.as4 ? uint32(bytes, start) : uint16(bytes, start);
  return as === 0 ? AGGREGATOR_AS_0 : undefined;
};

const AS4_PATH_NEW = finding(
  'attribute-discard',
  UPDATE_ERROR.optionalAttribute,
  'AS4_PATH from a peer with 4-octet AS numbers',
);

/** RFC 6793 6 */
export const checkAs4Path: AttributeCheck = (bytes, start, end, context) => {
  if (context.as4) return AS4_PATH_NEW;
  const problem =
    end - start < 6
      ? 'too short for an AS number'
      : asPathProblem(bytes, start, end, 4, {
          confederationSegments: true,
          sets: context.rejectAsSets !== true,
        });
  if (problem === undefined) return undefined;
  // RFC 9774 3 has sets withdrawn in AS4_PATH too.
  const action = problem === 'an AS_SET' ? 'treat-as-withdraw' : 'attribute-discard';
  return finding(action, UPDATE_ERROR.optionalAttribute, `AS4_PATH: ${problem}`);
};

const AS4_AGGREGATOR_NEW = finding(
  'attribute-discard',
  UPDATE_ERROR.optionalAttribute,
  'AS4_AGGREGATOR from a peer with 4-octet AS numbers',
);
const AS4_AGGREGATOR_VALUE = finding(
  'attribute-discard',
  UPDATE_ERROR.optionalAttribute,
  'AS4_AGGREGATOR is malformed',
);

/** RFC 6793 6, RFC 7607 2 */
export const checkAs4Aggregator: AttributeCheck = (bytes, start, end, context) => {
  if (context.as4) return AS4_AGGREGATOR_NEW;
  return end - start !== 8 || uint32(bytes, start) === 0 ? AS4_AGGREGATOR_VALUE : undefined;
};

const AIGP_MALFORMED = finding(
  'attribute-discard',
  UPDATE_ERROR.optionalAttribute,
  'AIGP: its TLVs do not fill it',
);

/** RFC 7311 3: TLVs whose two-octet length counts type and length too */
export const checkAigp: AttributeCheck = (bytes, start, end) => {
  let at = start;
  while (end - at >= 3) {
    const length = uint16(bytes, at + 1);
    // TLV type 1 is the metric: 11 octets in all.
    if (length < 3 || (bytes[at] === 1 && length !== 11)) return AIGP_MALFORMED;
    at += length;
  }
  return at === end && end > start ? undefined : AIGP_MALFORMED;
};

const PREFIX_SID_MALFORMED = finding(
  'attribute-discard',
  UPDATE_ERROR.optionalAttribute,
  'PREFIX_SID: its TLVs do not fill it, or have wrong lengths',
);

/** RFC 8669 6: TLVs whose two-octet length counts the value; the Label-Index has 7 octets (3.1), the SRGB 2 and 6 for each range (3.2) */
export const checkPrefixSid: AttributeCheck = (bytes, start, end) => {
  let at = start;
  while (end - at >= 3) {
    const length = uint16(bytes, at + 1);
    if (bytes[at] === 1 && length !== 7) return PREFIX_SID_MALFORMED;
    if (bytes[at] === 3 && (length < 8 || length % 6 !== 2)) return PREFIX_SID_MALFORMED;
    at += 3 + length;
  }
  return at === end && end > start ? undefined : PREFIX_SID_MALFORMED;
};

/** An attribute that the UPDATE decoder looks at itself. */
export const checkElsewhere: AttributeCheck = () => undefined;

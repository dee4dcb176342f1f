/** OPEN: RFC 4271 4.2, capabilities by RFC 5492, long parameters by RFC 9072; its checks in the order of RFC 4271 6.2. */
import { putUint16, putUint32, uint16, uint32 } from './bytes.ts';
import { capabilityCode, decodeCapability, encodeCapability } from './capabilities.ts';
import { notification } from './notification.ts';
import {
  AS_TRANS,
  ERROR,
  HEADER_OCTETS,
  MAX_MESSAGE_OCTETS,
  MESSAGE_TYPE,
  OPEN_ERROR,
  OPEN_PARAMETER,
  ROLE,
} from './registry.ts';
import type { Capability, NotificationError, OpenMessage } from './types.ts';

const VERSION = 4;
/** Octets of an OPEN body before the optional parameters. */
const FIXED_OCTETS = 10;

/** What an OPEN is checked against. Undefined fields are not checked. */
export interface OpenExpectations {
  readonly localAs: number;
  /** undefined: any (dynamic neighbours) */
  readonly peerAs?: number;
  /** unsigned 32-bit */
  readonly localRouterId?: number;
  /** without these the session makes no sense: 2/7 (RFC 5492 3) */
  readonly requiredCapabilities?: readonly Capability[];
  /** our role (RFC 9234) and whether the peer must tell its own */
  readonly role?: { readonly local: number; readonly strict: boolean };
}

export type OpenCheck =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: NotificationError; readonly reason: string };

/**
 * Reads an OPEN's body. Never fails: what is wrong with the parameters stands in `parametersError`, as RFC 4271 6.2 has it reported after the
 * fixed fields; `validateOpen` does that.
 */
export function decodeOpen(body: Uint8Array): OpenMessage {
  const capabilities: Capability[] = [];
  const problem = readParameters(body, capabilities);
  return {
    version: body[0] ?? 0,
    as2: uint16(body, 1),
    holdTimeSec: uint16(body, 3),
    routerId: uint32(body, 5),
    capabilities,
    ...(problem && { parametersError: problem }),
  };
}

type ParametersError = NonNullable<OpenMessage['parametersError']>;

function readParameters(body: Uint8Array, into: Capability[]): ParametersError | undefined {
  if (body.length < FIXED_OCTETS) return malformed('the message ends before its parameters');
  let at = FIXED_OCTETS;
  let total = body[9] ?? 0;
  // RFC 9072 2: type 255 first means the extended form; the one-octet length is then ignored, except that 0 is no parameters.
  const extended = total !== 0 && body[FIXED_OCTETS] === OPEN_PARAMETER.extendedLength;
  if (extended) {
    if (body.length < FIXED_OCTETS + 3) return malformed('the extended parameter length is missing');
    total = uint16(body, FIXED_OCTETS + 1);
    at += 3;
  }
  if (at + total !== body.length) {
    return malformed(`${body.length - at} octets of parameters where their length says ${total}`);
  }
  const headOctets = extended ? 3 : 2;
  while (at < body.length) {
    if (at + headOctets > body.length) return malformed('a parameter is cut short');
    const type = body[at] ?? 0;
    const length = extended ? uint16(body, at + 1) : (body[at + 1] ?? 0);
    at += headOctets;
    if (at + length > body.length) return malformed(`parameter ${type} runs past the end`);
    if (type !== OPEN_PARAMETER.capabilities) {
      return {
        error: notification(ERROR.openMessage, OPEN_ERROR.unsupportedOptionalParameter),
        reason: `optional parameter ${type} is not supported`,
      };
    }
    const problem = readCapabilities(body.subarray(at, at + length), into);
    if (problem !== undefined) return malformed(problem);
    at += length;
  }
  return undefined;
}

function readCapabilities(value: Uint8Array, into: Capability[]): string | undefined {
  for (let at = 0; at < value.length; ) {
    const code = value[at] ?? 0;
    const length = value[at + 1];
    if (length === undefined) return 'a capability is cut short';
    if (at + 2 + length > value.length) return `capability ${code} runs past the end of its parameter`;
    const capability = decodeCapability(code, value.subarray(at + 2, at + 2 + length));
    if (capability === undefined) return `capability ${code} cannot be ${length} octets long`;
    into.push(capability);
    at += 2 + length;
  }
  return undefined;
}

function malformed(reason: string): ParametersError {
  return { error: notification(ERROR.openMessage, OPEN_ERROR.unspecific), reason };
}

/** The AS number that an OPEN claims: that of capability 65, else the two-octet field (RFC 6793 4.1). */
export function openAs(open: OpenMessage): number {
  for (const capability of open.capabilities) if (capability.kind === 'four-octet-as') return capability.as;
  return open.as2;
}

/** All checks of a received OPEN, the first failure winning. */
export function validateOpen(open: OpenMessage, expected: OpenExpectations): OpenCheck {
  if (open.version !== VERSION) {
    // RFC 4271 6.2: data are the version that we speak.
    return refused(
      OPEN_ERROR.unsupportedVersionNumber,
      `version ${open.version} is not supported`,
      Uint8Array.of(0, VERSION),
    );
  }
  const as = openAs(open);
  // RFC 7607 2
  if (as === 0 || open.as2 === 0) return refused(OPEN_ERROR.badPeerAs, 'AS number 0');
  if (expected.peerAs !== undefined && as !== expected.peerAs) {
    return refused(OPEN_ERROR.badPeerAs, `AS ${as} where ${expected.peerAs} is expected`);
  }
  // RFC 4271 4.2
  if (open.holdTimeSec === 1 || open.holdTimeSec === 2) {
    return refused(OPEN_ERROR.unacceptableHoldTime, `a hold time of ${open.holdTimeSec} s`);
  }
  // RFC 6286 2.2
  if (open.routerId === 0) return refused(OPEN_ERROR.badBgpIdentifier, 'BGP identifier 0');
  if (as === expected.localAs && open.routerId === expected.localRouterId) {
    return refused(OPEN_ERROR.badBgpIdentifier, 'an internal peer with our own BGP identifier');
  }
  if (open.parametersError !== undefined) return { ok: false, ...open.parametersError };
  for (const required of expected.requiredCapabilities ?? []) {
    const wanted = encodeCapability(required);
    if (!offers(open, required)) {
      return refused(
        OPEN_ERROR.unsupportedCapability,
        `capability ${capabilityCode(required)} is required`,
        wanted,
      );
    }
  }
  return checkRole(open, expected);
}

function offers(open: OpenMessage, required: Capability): boolean {
  return open.capabilities.some((offered) => {
    if (required.kind === 'multiprotocol') {
      return (
        offered.kind === 'multiprotocol' && offered.afi === required.afi && offered.safi === required.safi
      );
    }
    return capabilityCode(offered) === capabilityCode(required);
  });
}

/** RFC 9234 4.2, table 2: which role of the peer fits ours. */
const ROLE_PAIRS: Readonly<Record<number, number>> = {
  [ROLE.provider]: ROLE.customer,
  [ROLE.customer]: ROLE.provider,
  [ROLE.routeServer]: ROLE.routeServerClient,
  [ROLE.routeServerClient]: ROLE.routeServer,
  [ROLE.peer]: ROLE.peer,
};

function checkRole(open: OpenMessage, expected: OpenExpectations): OpenCheck {
  // Roles are a matter of eBGP only.
  if (expected.role === undefined || openAs(open) === expected.localAs) return { ok: true };
  const roles = open.capabilities.filter((capability) => capability.kind === 'role');
  const [first] = roles;
  if (first === undefined) {
    if (!expected.role.strict) return { ok: true };
    return refused(OPEN_ERROR.roleMismatch, 'the peer tells no role');
  }
  if (roles.some((capability) => capability.role !== first.role)) {
    return refused(OPEN_ERROR.roleMismatch, 'the peer tells more than one role');
  }
  if (first.role !== ROLE_PAIRS[expected.role.local]) {
    return refused(
      OPEN_ERROR.roleMismatch,
      `role ${first.role} does not go with our role ${expected.role.local}`,
    );
  }
  return { ok: true };
}

function refused(subcode: number, reason: string, data?: Uint8Array): OpenCheck {
  return { ok: false, error: notification(ERROR.openMessage, subcode, data), reason };
}

/** What we say in an OPEN. */
export interface OpenOffer {
  /** 1..4294967295; capability 65 is not added by itself */
  readonly as: number;
  /** 0 or 3..65535 */
  readonly holdTimeSec: number;
  /** unsigned 32-bit, not 0 */
  readonly routerId: number;
  readonly capabilities: readonly Capability[];
}

/**
 * The whole OPEN message, one parameter of type 2 for each capability (what the oldest peers understand best); parameters above 255 octets take
 * the form of RFC 9072. Throws a RangeError when they do not fit into 4096 octets.
 */
export function encodeOpen(offer: OpenOffer): Uint8Array {
  const capabilities = offer.capabilities.map(encodeCapability);
  const short = capabilities.reduce((sum, value) => sum + 2 + value.length, 0);
  const extended = short > 255 || capabilities.some((value) => value.length > 255);
  const headOctets = extended ? 3 : 2;
  const parameters = capabilities.reduce((sum, value) => sum + headOctets + value.length, 0);
  const length = HEADER_OCTETS + FIXED_OCTETS + (extended ? 3 : 0) + parameters;
  // RFC 8654 4: an OPEN never is an extended message.
  if (length > MAX_MESSAGE_OCTETS) throw new RangeError(`an OPEN of ${length} octets cannot be sent`);
  const message = new Uint8Array(length).fill(0xff, 0, 16);
  putUint16(message, 16, length);
  message[18] = MESSAGE_TYPE.open;
  message[19] = VERSION;
  putUint16(message, 20, offer.as > 0xffff ? AS_TRANS : offer.as);
  putUint16(message, 22, offer.holdTimeSec);
  putUint32(message, 24, offer.routerId);
  message[28] = extended ? 255 : parameters;
  let at = 29;
  if (extended) {
    message[at] = OPEN_PARAMETER.extendedLength;
    putUint16(message, at + 1, parameters);
    at += 3;
  }
  for (const value of capabilities) {
    message[at] = OPEN_PARAMETER.capabilities;
    if (extended) putUint16(message, at + 1, value.length);
    else message[at + 1] = value.length;
    message.set(value, at + headOctets);
    at += headOctets + value.length;
  }
  return message;
}

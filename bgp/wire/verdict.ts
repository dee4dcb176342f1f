/**
 * The wire verdict: one pure function says of the octets of one message what they are and what a session would do about them. Sessions
 * use the parts it is made of; tools use the whole.
 */
import { type Address, type Family, formatAddress } from '../../src/net/address.ts';
import { formatPrefix } from '../../src/net/prefix.ts';
import { decodeAttributes, nextHopOf } from './attribute-key.ts';
import { attributeName } from './attribute-table.ts';
import { hexOf, uint16, uint32Bytes } from './bytes.ts';
import { capabilityCode, capabilityName, familyName } from './capabilities.ts';
import { formatExtendedCommunity, formatLargeCommunity, formatRouterId, messageTypeName } from './format.ts';
import { nextFrame } from './frame.ts';
import { decodeMessage } from './messages.ts';
import { NlriWalker } from './nlri.ts';
import { describeNotification, notification } from './notification.ts';
import { openAs, validateOpen } from './open.ts';
import {
  AFI,
  ERROR,
  FSM_ERROR,
  familyOf,
  HEADER_ERROR,
  HEADER_OCTETS,
  MESSAGE_TYPE,
  SAFI_UNICAST,
} from './registry.ts';
import type {
  DecodeContext,
  DecodedMessage,
  DecodedUpdate,
  NlriRange,
  NotificationError,
  OpenMessage,
  PathAttributes,
} from './types.ts';

/** The states in which a peer's messages are awaited (RFC 4271 8.2.2). */
export type SessionPhase = 'opensent' | 'openconfirm' | 'established';

/** What is known of the session that a message came in on. */
export interface VerdictContext extends DecodeContext {
  readonly phase: SessionPhase;
  /** our BGP identifier, unsigned 32-bit; undefined: an OPEN's is not compared with it */
  readonly localRouterId?: number;
}

/** An external peer in state Established with 4-octet AS numbers and both families, nothing else negotiated. */
export const DEFAULT_VERDICT_CONTEXT: VerdictContext = {
  phase: 'established',
  peerKind: 'ebgp',
  localAs: 65000,
  peerAs: 65001,
  as4: true,
  extendedMessage: false,
  addPathReceive: { ipv4: false, ipv6: false },
  families: { ipv4: true, ipv6: true },
  extendedNextHop: false,
};

/** `close`: the peer ended the session with a NOTIFICATION. */
export type VerdictName = 'valid' | 'attr-discard' | 'treat-as-withdraw' | 'session-reset' | 'close';

/** A route in a decoded UPDATE; `pathId` with ADD-PATH only, `nextHop` of announced ones only. */
export interface RouteOutput {
  readonly prefix: string;
  readonly pathId?: number;
  readonly family: string;
  readonly nextHop?: string;
}

export interface UpdateOutput {
  readonly announced: readonly RouteOutput[];
  readonly withdrawn: readonly RouteOutput[];
  /** by name; empty unless the routes are announced with them */
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly endOfRib?: string;
  readonly discarded?: readonly {
    readonly attribute: string;
    readonly code: number;
    readonly reason: string;
  }[];
}

/** The verdict as JSON shows it. */
export interface MessageVerdict {
  readonly verdict: VerdictName;
  /** the NOTIFICATION that is sent, data in hexadecimal; null when none is: a session reset alone sends one */
  readonly error: { readonly code: number; readonly subcode: number; readonly data: string } | null;
  /** `open`, `update`, `notification`, `keepalive`, `route-refresh`; null when the header names no known type */
  readonly type: string | null;
  /** what the octets say; null when they cannot be read that far */
  readonly decoded: UpdateOutput | Readonly<Record<string, unknown>> | null;
  /** the reason in words */
  readonly why: string;
}

/** Judges one whole message, header included. Total: any octets give a verdict. */
export function verdictOf(message: Uint8Array, context: VerdictContext): MessageVerdict {
  // RFC 8654 4: a session still waiting for the peer's OPEN has negotiated nothing.
  const frame = nextFrame(
    message,
    0,
    message.length,
    context.extendedMessage && context.phase !== 'opensent',
  );
  const type = message.length > 18 ? (messageTypeName(message[18] ?? 0) ?? null) : null;
  const badMarker = frame.kind === 'error' && frame.error.subcode === HEADER_ERROR.connectionNotSynchronized;
  const lengthDiffers = message.length < HEADER_OCTETS || uint16(message, 16) !== message.length;
  if (frame.kind === 'incomplete' || (!badMarker && lengthDiffers)) {
    const reason =
      message.length < 18
        ? `${message.length} octets are no message header`
        : `the length field says ${uint16(message, 16)}, there are ${message.length} octets`;
    const error = notification(ERROR.messageHeader, HEADER_ERROR.badMessageLength, message.subarray(16, 18));
    return reset(type, error, reason, emptyUpdate(type));
  }
  if (frame.kind === 'error') return reset(type, frame.error, frame.reason, emptyUpdate(type));
  return judge(frame.type, message.subarray(frame.bodyStart, frame.end), context);
}

const ANSWERED: Readonly<
  Record<SessionPhase, { readonly types: readonly number[]; readonly subcode: number }>
> = {
  opensent: { types: [MESSAGE_TYPE.open], subcode: FSM_ERROR.openSent },
  openconfirm: { types: [MESSAGE_TYPE.keepalive], subcode: FSM_ERROR.openConfirm },
  established: {
    types: [MESSAGE_TYPE.update, MESSAGE_TYPE.keepalive, MESSAGE_TYPE.routeRefresh],
    subcode: FSM_ERROR.established,
  },
};

function judge(typeCode: number, body: Uint8Array, context: VerdictContext): MessageVerdict {
  const type = messageTypeName(typeCode) ?? null;
  const { types, subcode } = ANSWERED[context.phase];
  if (typeCode !== MESSAGE_TYPE.notification && !types.includes(typeCode)) {
    // RFC 6608 3: data are the type of the message.
    const error = notification(ERROR.finiteStateMachine, subcode, Uint8Array.of(typeCode));
    return reset(type, error, `${type} is not expected in this state`, emptyUpdate(type));
  }
  const message = decodeMessage(typeCode, body, context);
  switch (message.type) {
    case 'error':
      return reset(type, message.error, message.reason, null);
    case 'notification':
      return judgeNotification(message.error);
    case 'keepalive':
      return { verdict: 'valid', error: null, type, decoded: {}, why: 'a keepalive' };
    case 'route-refresh':
      return judgeRefresh(message, context);
    case 'open':
      return judgeOpen(message.open, context);
    case 'update':
      return judgeUpdate(message.update);
  }
}

function reset(
  type: string | null,
  error: NotificationError,
  reason: string,
  decoded: MessageVerdict['decoded'],
): MessageVerdict {
  return {
    verdict: 'session-reset',
    error: { code: error.code, subcode: error.subcode, data: hexOf(error.data) },
    type,
    decoded,
    why: `${describeNotification(notification(error.code, error.subcode))}: ${reason}`,
  };
}

function emptyUpdate(type: string | null): MessageVerdict['decoded'] {
  return type === 'update' ? { announced: [], withdrawn: [], attributes: {} } : null;
}

function judgeNotification(error: NotificationError): MessageVerdict {
  const text = describeNotification(error);
  return {
    verdict: 'close',
    error: null,
    type: 'notification',
    decoded: { code: error.code, subcode: error.subcode, data: hexOf(error.data), text },
    why: `the peer closes: ${text}`,
  };
}

const REFRESH_NAMES = ['request', 'begin of refresh', 'end of refresh'];

function judgeRefresh(
  message: Extract<DecodedMessage, { type: 'route-refresh' }>,
  context: VerdictContext,
): MessageVerdict {
  const { afi, safi, subtype } = message;
  const family = familyOf(afi, safi);
  const name = REFRESH_NAMES[subtype];
  const isKnown = family !== undefined && context.families[family] && name !== undefined;
  return {
    verdict: 'valid',
    error: null,
    type: 'route-refresh',
    decoded: { afi, safi, subtype, family: familyName({ afi, safi }) },
    why: isKnown
      ? `${name} for ${familyName({ afi, safi })}`
      : `ignored: ${name === undefined ? `subtype ${subtype} is unknown` : `${familyName({ afi, safi })} was not negotiated`}`,
  };
}

function judgeOpen(open: OpenMessage, context: VerdictContext): MessageVerdict {
  const decoded = {
    version: open.version,
    as: openAs(open),
    holdTimeSec: open.holdTimeSec,
    routerId: formatRouterId(open.routerId),
    capabilities: open.capabilities.map((capability) => ({
      code: capabilityCode(capability),
      ...(capability.kind === 'unknown' ? { kind: 'unknown', value: hexOf(capability.value) } : capability),
      text: capabilityName(capability),
    })),
  };
  const check = validateOpen(open, context);
  if (!check.ok) return reset('open', check.error, check.reason, decoded);
  return {
    verdict: 'valid',
    error: null,
    type: 'open',
    decoded,
    why: `AS ${decoded.as}, BGP identifier ${decoded.routerId}, hold time ${decoded.holdTimeSec} s`,
  };
}

const VERDICT_NAMES: Readonly<Record<DecodedUpdate['verdict']['kind'], VerdictName>> = {
  ok: 'valid',
  'attribute-discard': 'attr-discard',
  'treat-as-withdraw': 'treat-as-withdraw',
  'session-reset': 'session-reset',
};

function judgeUpdate(update: DecodedUpdate): MessageVerdict {
  const { verdict } = update;
  if (verdict.kind === 'session-reset') {
    return reset('update', verdict.error, verdict.reason, emptyUpdate('update'));
  }
  const decoded = describeUpdate(update);
  return {
    verdict: VERDICT_NAMES[verdict.kind],
    error: null,
    type: 'update',
    decoded,
    why: whyOf(update, decoded),
  };
}

function whyOf({ verdict, discarded }: DecodedUpdate, decoded: UpdateOutput): string {
  if (verdict.kind === 'treat-as-withdraw') {
    return `${verdict.reason} (RFC 4271: ${describeNotification(notification(verdict.error.code, verdict.error.subcode))})`;
  }
  if (discarded.length > 0) return discarded.map(({ reason }) => reason).join('; ');
  if (decoded.endOfRib !== undefined) return `End-of-RIB of ${decoded.endOfRib}`;
  return `${decoded.announced.length} announced, ${decoded.withdrawn.length} withdrawn`;
}

/** What an UPDATE that does not reset the session announces and withdraws, with each route at most once in each list. */
export function describeUpdate(update: DecodedUpdate): UpdateOutput {
  const announced = new Map<string, RouteOutput>();
  for (const { nlri, attributes } of update.reach) {
    const nextHop = nextHopOf(attributes);
    for (const route of routesOf(update.body, nlri)) {
      announced.set(routeKey(route), nextHop ? { ...route, nextHop: formatAddress(nextHop) } : route);
    }
  }
  const withdrawn = new Map<string, RouteOutput>();
  for (const range of update.withdrawn) {
    for (const route of routesOf(update.body, range)) {
      // RFC 4271 4.3: as if the withdrawn routes did not contain what is announced.
      if (!announced.has(routeKey(route))) withdrawn.set(routeKey(route), route);
    }
  }
  const first = update.reach[0];
  return {
    announced: [...announced.values()],
    withdrawn: [...withdrawn.values()],
    attributes: first === undefined ? {} : describeAttributes(decodeAttributes(first.attributes)),
    ...(update.endOfRib && {
      endOfRib: familyName({ afi: AFI[update.endOfRib], safi: SAFI_UNICAST }),
    }),
    ...(update.discarded.length > 0 && {
      discarded: update.discarded.map(({ code, reason }) => ({
        attribute: attributeName(code),
        code,
        reason,
      })),
    }),
  };
}

function routeKey(route: RouteOutput): string {
  return `${route.prefix} ${route.pathId ?? ''}`;
}

function routesOf(body: Uint8Array, range: NlriRange): RouteOutput[] {
  const walker = new NlriWalker();
  const routes: RouteOutput[] = [];
  const family = familyName({ afi: AFI[range.family], safi: SAFI_UNICAST });
  walker.reset(body, range);
  while (walker.next()) {
    const bytes = addressOctetsOf(walker, range.family);
    const prefix = formatPrefix({ family: range.family, bytes, length: walker.length });
    routes.push(range.addPath ? { prefix, pathId: walker.pathId, family } : { prefix, family });
  }
  return routes;
}

function addressOctetsOf({ w0, w1, w2, w3 }: NlriWalker, family: Family): Uint8Array {
  return family === 'ipv4' ? uint32Bytes(w0) : uint32Bytes(w0, w1, w2, w3);
}

/** Attributes with values as people write them, under the names of `PathAttributes`; absent ones are left out. */
export function describeAttributes(attributes: PathAttributes): Record<string, unknown> {
  const text = (address: Address | undefined) => address && formatAddress(address);
  const described: Record<string, unknown> = {
    origin: attributes.origin,
    asPath: attributes.asPath,
    nextHop: text(attributes.nextHop),
    linkLocalNextHop: text(attributes.linkLocalNextHop),
    med: attributes.med,
    localPref: attributes.localPref,
    atomicAggregate: attributes.atomicAggregate,
    aggregator: attributes.aggregator && {
      as: attributes.aggregator.as,
      address: text(attributes.aggregator.address),
    },
    communities: attributes.communities?.map((value) => `${value >>> 16}:${value & 0xffff}`),
    originatorId: attributes.originatorId === undefined ? undefined : formatRouterId(attributes.originatorId),
    clusterList: attributes.clusterList?.map(formatRouterId),
    extendedCommunities: attributes.extendedCommunities?.map(formatExtendedCommunity),
    largeCommunities: attributes.largeCommunities?.map(formatLargeCommunity),
    onlyToCustomer: attributes.onlyToCustomer,
    unknown: attributes.unknown?.map(({ code, flags, value }) => ({ code, flags, value: hexOf(value) })),
  };
  return Object.fromEntries(Object.entries(described).filter(([, value]) => value !== undefined));
}

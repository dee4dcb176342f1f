/** Whole messages: which decoder a type has, and the short messages KEEPALIVE and ROUTE-REFRESH (RFC 4271 4.4, RFC 2918 3, RFC 7313 3.2). */
import { putUint16, uint16 } from './bytes.ts';
import { decodeNotification, notification } from './notification.ts';
import { decodeOpen } from './open.ts';
import {
  ERROR,
  FSM_ERROR,
  HEADER_ERROR,
  HEADER_OCTETS,
  MESSAGE_TYPE,
  REFRESH_ERROR,
  REFRESH_SUBTYPE,
} from './registry.ts';
import type { DecodeContext, DecodedMessage } from './types.ts';
import { decodeUpdate } from './update.ts';

/**
 * Decodes a message whose header `nextFrame` has checked. Total. `context` is needed for UPDATE only: without it, the session is not
 * established and an UPDATE is an error of the state machine. An OPEN still has to pass `validateOpen`.
 */
export function decodeMessage(
  type: number,
  body: Uint8Array,
  context: DecodeContext | undefined,
): DecodedMessage {
  switch (type) {
    case MESSAGE_TYPE.open:
      return { type: 'open', open: decodeOpen(body) };
    case MESSAGE_TYPE.update:
      if (context === undefined) {
        return {
          type: 'error',
          error: notification(ERROR.finiteStateMachine, FSM_ERROR.unspecific, Uint8Array.of(type)),
          reason: 'an UPDATE before the session is established',
        };
      }
      return { type: 'update', update: decodeUpdate(body, context) };
    case MESSAGE_TYPE.notification:
      return { type: 'notification', error: decodeNotification(body) };
    case MESSAGE_TYPE.keepalive:
      return body.length === 0 ? { type: 'keepalive' } : badLength(type, body);
    case MESSAGE_TYPE.routeRefresh:
      return decodeRouteRefresh(body);
    default:
      return {
        type: 'error',
        error: notification(ERROR.messageHeader, HEADER_ERROR.badMessageType, Uint8Array.of(type)),
        reason: `there is no message type ${type}`,
      };
  }
}

function decodeRouteRefresh(body: Uint8Array): DecodedMessage {
  if (body.length < 4) return badLength(MESSAGE_TYPE.routeRefresh, body);
  const subtype = body[2] ?? 0;
  const isMarker = subtype === REFRESH_SUBTYPE.beginOfRefresh || subtype === REFRESH_SUBTYPE.endOfRefresh;
  if (isMarker && body.length !== 4) {
    // RFC 7313 5: data are the whole message.
    const error = notification(
      ERROR.routeRefreshMessage,
      REFRESH_ERROR.invalidMessageLength,
      withHeader(MESSAGE_TYPE.routeRefresh, body),
    );
    return { type: 'error', error, reason: `a ROUTE-REFRESH of subtype ${subtype} with more than 4 octets` };
  }
  return { type: 'route-refresh', afi: uint16(body, 0), safi: body[3] ?? 0, subtype };
}

function badLength(type: number, body: Uint8Array): DecodedMessage {
  const length = HEADER_OCTETS + body.length;
  return {
    type: 'error',
    error: notification(
      ERROR.messageHeader,
      HEADER_ERROR.badMessageLength,
      Uint8Array.of(length >> 8, length),
    ),
    reason: `a message of type ${type} cannot be ${length} octets long`,
  };
}

/** A message of this type and body. */
function withHeader(type: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(HEADER_OCTETS + body.length).fill(0xff, 0, 16);
  putUint16(message, 16, message.length);
  message[18] = type;
  message.set(body, HEADER_OCTETS);
  return message;
}

/** RFC 4271 4.4 */
export function encodeKeepalive(): Uint8Array {
  return withHeader(MESSAGE_TYPE.keepalive, new Uint8Array(0));
}

/** RFC 2918 3; subtype by RFC 7313 3.2, 0 for a plain request. */
export function encodeRouteRefresh(
  afi: number,
  safi: number,
  subtype: number = REFRESH_SUBTYPE.request,
): Uint8Array {
  return withHeader(MESSAGE_TYPE.routeRefresh, Uint8Array.of(afi >> 8, afi, subtype, safi));
}

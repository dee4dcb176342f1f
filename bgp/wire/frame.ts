/** Message framing: the header of RFC 4271 4.1 and its checks (6.1) in the order in which the RFC lists them. */
import { uint16 } from './bytes.ts';
import { notification } from './notification.ts';
import {
  ERROR,
  HEADER_ERROR,
  HEADER_OCTETS,
  MAX_EXTENDED_MESSAGE_OCTETS,
  MAX_MESSAGE_OCTETS,
  MESSAGE_TYPE,
} from './registry.ts';
import type { NotificationError } from './types.ts';

/** What stands at the front of a receive buffer. Offsets are those of the buffer. */
export type Frame =
  | { readonly kind: 'incomplete' }
  | {
      readonly kind: 'message';
      readonly type: number;
      /** first octet after the header */
      readonly bodyStart: number;
      /** first octet after the message */
      readonly end: number;
    }
  | { readonly kind: 'error'; readonly error: NotificationError; readonly reason: string };

const INCOMPLETE: Frame = { kind: 'incomplete' };

/** Least and greatest length of each message type, by code (RFC 4271 4.2 to 4.5, RFC 2918 3; the maxima RFC 8654 3 and 4). */
const LENGTHS: readonly ({ readonly min: number; readonly max: number } | undefined)[] = lengthsByType([
  [MESSAGE_TYPE.open, 29, MAX_MESSAGE_OCTETS],
  [MESSAGE_TYPE.update, 23, MAX_EXTENDED_MESSAGE_OCTETS],
  [MESSAGE_TYPE.notification, 21, MAX_EXTENDED_MESSAGE_OCTETS],
  [MESSAGE_TYPE.keepalive, 19, 19],
  [MESSAGE_TYPE.routeRefresh, 23, MAX_EXTENDED_MESSAGE_OCTETS],
]);

function lengthsByType(rows: readonly (readonly [type: number, min: number, max: number])[]) {
  return Array.from({ length: 256 }, (_, code) => {
    const row = rows.find(([type]) => type === code);
    return row && { min: row[1], max: row[2] };
  });
}

/**
 * Looks for one message in `buffer[start..end)`. Header errors are told as soon as the octets that show them are there, so that a peer which
 * talks another protocol is not waited for. `extendedMessage`: RFC 8654 was negotiated.
 */
export function nextFrame(buffer: Uint8Array, start: number, end: number, extendedMessage: boolean): Frame {
  const available = end - start;
  const markerOctets = Math.min(available, 16);
  for (let i = 0; i < markerOctets; i++) {
    if (buffer[start + i] !== 0xff) {
      return headerError(HEADER_ERROR.connectionNotSynchronized, undefined, 'the marker is not all ones');
    }
  }
  if (available < HEADER_OCTETS) return INCOMPLETE;
  const length = uint16(buffer, start + 16);
  const type = buffer[start + 18] ?? 0;
  const bounds = LENGTHS[type];
  const most = Math.min(
    bounds?.max ?? MAX_EXTENDED_MESSAGE_OCTETS,
    extendedMessage ? MAX_EXTENDED_MESSAGE_OCTETS : MAX_MESSAGE_OCTETS,
  );
  if (length < (bounds?.min ?? HEADER_OCTETS) || length > most) {
    return headerError(
      HEADER_ERROR.badMessageLength,
      buffer.slice(start + 16, start + 18),
      `a message of type ${type} cannot be ${length} octets long`,
    );
  }
  if (bounds === undefined) {
    return headerError(HEADER_ERROR.badMessageType, Uint8Array.of(type), `there is no message type ${type}`);
  }
  if (available < length) return INCOMPLETE;
  return { kind: 'message', type, bodyStart: start + HEADER_OCTETS, end: start + length };
}

function headerError(subcode: number, data: Uint8Array | undefined, reason: string): Frame {
  return { kind: 'error', error: notification(ERROR.messageHeader, subcode, data), reason };
}

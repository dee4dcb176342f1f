/** NOTIFICATION values and the words for them, in one place for logs, status and tools (RFC 4271 4.5 and 6, RFC 9003, RFC 8538). */
import { hexOf, noOctets, putUint16, uint16, uint32 } from './bytes.ts';
import {
  CEASE,
  ERROR,
  HEADER_ERROR,
  HEADER_OCTETS,
  MAX_MESSAGE_OCTETS,
  MESSAGE_TYPE,
  OPEN_ERROR,
  REFRESH_ERROR,
  UPDATE_ERROR,
} from './registry.ts';
import type { NotificationError } from './types.ts';

/** A notification; `data` defaults to none. */
export function notification(code: number, subcode: number, data?: Uint8Array): NotificationError {
  return { code, subcode, data: data ?? noOctets() };
}

/** RFC 9003 2: data of 6/2 or 6/4 with a text for the peer's operator, cut at a character so that it fits into 255 octets of UTF-8. */
export function shutdownCommunication(text: string): Uint8Array {
  const scratch = new Uint8Array(255);
  const { written } = new TextEncoder().encodeInto(text, scratch);
  const data = new Uint8Array(1 + written);
  data[0] = written;
  data.set(scratch.subarray(0, written), 1);
  return data;
}

/** RFC 8538 3.1: wraps the real reason of a reset that must not be answered by graceful restart. */
export function hardReset(reason: NotificationError): NotificationError {
  const data = new Uint8Array(2 + reason.data.length);
  data[0] = reason.code;
  data[1] = reason.subcode;
  data.set(reason.data, 2);
  return notification(ERROR.cease, CEASE.hardReset, data);
}

/** The real reason of a reset: that which stands inside, where it is a hard one. */
export function withoutHardReset(error: NotificationError): NotificationError {
  const { code, subcode, data } = error;
  if (code !== ERROR.cease || subcode !== CEASE.hardReset || data.length < 2) return error;
  return decodeNotification(data);
}

/** The whole NOTIFICATION message; data that does not fit into `maxOctets` is cut. */
export function encodeNotification(error: NotificationError, maxOctets = MAX_MESSAGE_OCTETS): Uint8Array {
  const data = error.data.subarray(0, maxOctets - HEADER_OCTETS - 2);
  const message = new Uint8Array(HEADER_OCTETS + 2 + data.length).fill(0xff, 0, 16);
  putUint16(message, 16, message.length);
  message[18] = MESSAGE_TYPE.notification;
  message[19] = error.code;
  message[20] = error.subcode;
  message.set(data, 21);
  return message;
}

/** Reads a NOTIFICATION's body. A body that is too short stands for code 0, subcode 0. */
export function decodeNotification(body: Uint8Array): NotificationError {
  return notification(body[0] ?? 0, body[1] ?? 0, body.slice(2));
}

interface ErrorName {
  readonly name: string;
  readonly subcodes: Readonly<Record<number, string>>;
}

const NAMES: Readonly<Record<number, ErrorName>> = {
  [ERROR.messageHeader]: {
    name: 'Message Header Error',
    subcodes: {
      [HEADER_ERROR.connectionNotSynchronized]: 'Connection Not Synchronized',
      [HEADER_ERROR.badMessageLength]: 'Bad Message Length',
      [HEADER_ERROR.badMessageType]: 'Bad Message Type',
    },
  },
  [ERROR.openMessage]: {
    name: 'OPEN Message Error',
    subcodes: {
      [OPEN_ERROR.unsupportedVersionNumber]: 'Unsupported Version Number',
      [OPEN_ERROR.badPeerAs]: 'Bad Peer AS',
      [OPEN_ERROR.badBgpIdentifier]: 'Bad BGP Identifier',
      [OPEN_ERROR.unsupportedOptionalParameter]: 'Unsupported Optional Parameter',
      5: 'Authentication Failure (deprecated)',
      [OPEN_ERROR.unacceptableHoldTime]: 'Unacceptable Hold Time',
      [OPEN_ERROR.unsupportedCapability]: 'Unsupported Capability',
      [OPEN_ERROR.roleMismatch]: 'Role Mismatch',
    },
  },
  [ERROR.updateMessage]: {
    name: 'UPDATE Message Error',
    subcodes: {
      [UPDATE_ERROR.malformedAttributeList]: 'Malformed Attribute List',
      [UPDATE_ERROR.unrecognizedWellKnownAttribute]: 'Unrecognized Well-known Attribute',
      [UPDATE_ERROR.missingWellKnownAttribute]: 'Missing Well-known Attribute',
      [UPDATE_ERROR.attributeFlags]: 'Attribute Flags Error',
      [UPDATE_ERROR.attributeLength]: 'Attribute Length Error',
      [UPDATE_ERROR.invalidOrigin]: 'Invalid ORIGIN Attribute',
      7: 'AS Routing Loop (deprecated)',
      [UPDATE_ERROR.invalidNextHop]: 'Invalid NEXT_HOP Attribute',
      [UPDATE_ERROR.optionalAttribute]: 'Optional Attribute Error',
      [UPDATE_ERROR.invalidNetworkField]: 'Invalid Network Field',
      [UPDATE_ERROR.malformedAsPath]: 'Malformed AS_PATH',
    },
  },
  [ERROR.holdTimerExpired]: { name: 'Hold Timer Expired', subcodes: {} },
  [ERROR.finiteStateMachine]: {
    name: 'Finite State Machine Error',
    subcodes: {
      1: 'Receive Unexpected Message in OpenSent State',
      2: 'Receive Unexpected Message in OpenConfirm State',
      3: 'Receive Unexpected Message in Established State',
    },
  },
  [ERROR.cease]: {
    name: 'Cease',
    subcodes: {
      [CEASE.maximumPrefixesReached]: 'Maximum Number of Prefixes Reached',
      [CEASE.administrativeShutdown]: 'Administrative Shutdown',
      [CEASE.peerDeconfigured]: 'Peer De-configured',
      [CEASE.administrativeReset]: 'Administrative Reset',
      [CEASE.connectionRejected]: 'Connection Rejected',
      [CEASE.otherConfigurationChange]: 'Other Configuration Change',
      [CEASE.connectionCollision]: 'Connection Collision Resolution',
      [CEASE.outOfResources]: 'Out of Resources',
      [CEASE.hardReset]: 'Hard Reset',
      [CEASE.bfdDown]: 'BFD Down',
    },
  },
  [ERROR.routeRefreshMessage]: {
    name: 'ROUTE-REFRESH Message Error',
    subcodes: { [REFRESH_ERROR.invalidMessageLength]: 'Invalid Message Length' },
  },
  [ERROR.sendHoldTimerExpired]: { name: 'Send Hold Timer Expired', subcodes: {} },
};

/** `Cease/Administrative Shutdown (6/2): maintenance`: names, numbers and what the data say, control characters made harmless. */
export function describeNotification(error: NotificationError): string {
  const entry = NAMES[error.code];
  const subcode = entry?.subcodes[error.subcode];
  const name = `${entry?.name ?? 'Unknown Error'}${subcode === undefined ? '' : `/${subcode}`}`;
  const detail = describeData(error);
  return `${name} (${error.code}/${error.subcode})${detail === '' ? '' : `: ${detail}`}`;
}

function describeData({ code, subcode, data }: NotificationError): string {
  if (code === ERROR.cease) {
    if (subcode === CEASE.hardReset && data.length >= 2) {
      return describeNotification(notification(data[0] ?? 0, data[1] ?? 0, data.subarray(2)));
    }
    if (subcode === CEASE.administrativeShutdown || subcode === CEASE.administrativeReset) {
      return shutdownText(data) ?? octets(data);
    }
    if (subcode === CEASE.maximumPrefixesReached && data.length === 7) {
      // RFC 4486 4
      return `AFI ${uint16(data, 0)} SAFI ${data[2]}, limit ${uint32(data, 3)}`;
    }
  }
  if (code === ERROR.messageHeader && subcode === HEADER_ERROR.badMessageLength && data.length === 2) {
    return `length ${uint16(data, 0)}`;
  }
  if (code === ERROR.messageHeader && subcode === HEADER_ERROR.badMessageType && data.length === 1) {
    return `type ${data[0]}`;
  }
  // RFC 6608 3
  if (code === ERROR.finiteStateMachine && data.length === 1) return `message of type ${data[0]}`;
  if (code === ERROR.openMessage && subcode === OPEN_ERROR.unsupportedVersionNumber && data.length === 2) {
    return `version ${uint16(data, 0)} is supported`;
  }
  return octets(data);
}

const OCTETS_SHOWN = 64;

function octets(data: Uint8Array): string {
  if (data.length === 0) return '';
  const shown = hexOf(data.subarray(0, OCTETS_SHOWN));
  return `data ${shown}${data.length > OCTETS_SHOWN ? `... (${data.length} octets)` : ''}`;
}

/** What the peer's operator says in a 6/2 or 6/4, also inside a hard reset (RFC 8538 3.1); undefined when there is nothing. */
export function shutdownCommunicationOf({ code, subcode, data }: NotificationError): string | undefined {
  if (code !== ERROR.cease) return undefined;
  if (subcode === CEASE.hardReset && data.length >= 2) {
    return shutdownCommunicationOf(notification(data[0] ?? 0, data[1] ?? 0, data.subarray(2)));
  }
  const mayHaveOne = subcode === CEASE.administrativeShutdown || subcode === CEASE.administrativeReset;
  return mayHaveOne ? shutdownText(data) : undefined;
}

/** The text of a shutdown communication (RFC 9003 2), or undefined when the data hold no proper one: that is never an error. */
export function shutdownText(data: Uint8Array): string | undefined {
  const length = data[0];
  if (length === undefined || length === 0 || length + 1 > data.length) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data.subarray(1, 1 + length));
    return printable(text);
  } catch {
    return undefined;
  }
}

/** Text from a peer with control and direction characters replaced, so that it cannot play with a terminal or a log (RFC 9003 7). */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}

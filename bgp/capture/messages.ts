/** What the readers of captures and dumps give: messages with the context in which to judge them, and words on what is not a message. */
import type { Address } from '../../src/net/address.ts';
import type { VerdictContext } from '../wire/verdict.ts';

/** An end of a connection. */
export interface Endpoint {
  readonly address: Address;
  /** 0 when not recorded */
  readonly port: number;
}

/** A whole message, or as much of one as cannot be read on. */
export interface CapturedMessage {
  readonly kind: 'message';
  /** epoch milliseconds, with a fraction; 0 when not recorded */
  readonly at: number;
  /** undefined when not recorded */
  readonly from?: Endpoint;
  readonly to?: Endpoint;
  readonly message: Uint8Array;
  readonly context: VerdictContext;
  /** what the message is made from, when it is not one that was sent as it stands */
  readonly made?: 'table-entry';
}

/** Something that is no message: octets that are missing, a change of state. */
export interface CaptureNote {
  readonly kind: 'note';
  readonly at: number;
  readonly from?: Endpoint;
  readonly to?: Endpoint;
  readonly text: string;
}

export type CaptureItem = CapturedMessage | CaptureNote;

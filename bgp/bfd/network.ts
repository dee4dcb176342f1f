/** The door between BFD's engine and its sockets: UDP with TTLs, and what a test's memory gives in its place. */
import type { Address, Family } from '../../src/net/address.ts';

/** RFC 5881 4 and RFC 5883 4 */
export const PORT = { singleHop: 3784, multihop: 4784 } as const;
/** RFC 5881 5: what single-hop packets are sent and must arrive with */
export const GTSM_TTL = 255;

/** A packet as it came; `octets` is the network's again when the call returns. */
export interface Datagram {
  readonly octets: Uint8Array;
  readonly source: Address;
  readonly destination: Address;
  readonly interfaceIndex: number;
  /** 0..255; -1: the kernel did not tell */
  readonly ttl: number;
}

export interface BfdListener {
  /** Hands over at once all that the kernel holds, up to a bound. */
  drain(): void;
  close(): void;
}

export interface SenderOptions {
  readonly peer: Address;
  readonly port: number;
  readonly local: Address | undefined;
  readonly interface: string | undefined;
}

export interface SendProblem {
  readonly text: string;
  /** the socket is of no more use */
  readonly broken: boolean;
}

/** One session's own source port (RFC 5881 4). */
export interface BfdSender {
  /** the interface that it is bound to; undefined: none */
  readonly interfaceIndex: number | undefined;
  /** Sends at once. Returns what went wrong. */
  send(octets: Uint8Array): SendProblem | undefined;
  close(): void;
}

/** Opens sockets; failures come back as text. */
export interface BfdNetwork {
  listen(family: Family, port: number, onPacket: (datagram: Datagram) => void): BfdListener | string;
  openSender(options: SenderOptions): BfdSender | string;
}

/**
 * The BFD control packet (RFC 5880 4.1) and the checks of RFC 5880 6.8.6 that need no session. Pure: octets in, a value or one classified error out.
 */

/** A session's state, in the order of its number on the wire (RFC 5880 4.1). */
export const BFD_STATES = ['AdminDown', 'Down', 'Init', 'Up'] as const;
export type BfdState = (typeof BFD_STATES)[number];

/** Why a session left the state it was in (RFC 5880 4.1), named as IANA names them. */
export const DIAGNOSTIC = {
  none: 0,
  controlDetectionTimeExpired: 1,
  echoFunctionFailed: 2,
  neighborSignaledSessionDown: 3,
  forwardingPlaneReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  administrativelyDown: 7,
  reverseConcatenatedPathDown: 8,
} as const;

const DIAGNOSTIC_TEXTS: readonly string[] = [
  'No Diagnostic',
  'Control Detection Time Expired',
  'Echo Function Failed',
  'Neighbor Signaled Session Down',
  'Forwarding Plane Reset',
  'Path Down',
  'Concatenated Path Down',
  'Administratively Down',
  'Reverse Concatenated Path Down',
];

export interface ControlPacket {
  /** 0..31 */
  readonly diagnostic: number;
  readonly state: BfdState;
  readonly poll: boolean;
  readonly final: boolean;
  readonly controlPlaneIndependent: boolean;
  readonly demand: boolean;
  /** 1..255 */
  readonly multiplier: number;
  /** unsigned 32-bit, not 0 */
  readonly myDiscriminator: number;
  /** unsigned 32-bit; 0: not known yet */
  readonly yourDiscriminator: number;
  /** microseconds, unsigned 32-bit, as all intervals of the protocol */
  readonly desiredMinTxUs: number;
  /** 0: send me none */
  readonly requiredMinRxUs: number;
  readonly requiredMinEchoRxUs: number;
}

/** Why a packet is thrown away, in the order in which RFC 5880 6.8.6 looks. */
export type PacketProblem =
  | 'version'
  | 'length'
  | 'truncated'
  | 'multiplier-zero'
  | 'multipoint'
  | 'my-discriminator-zero'
  | 'your-discriminator-zero'
  | 'authentication';

export type DecodedPacket =
  | { readonly ok: true; readonly packet: ControlPacket }
  | { readonly ok: false; readonly problem: PacketProblem; readonly text: string };

/** Octets of a control packet without authentication. */
export const CONTROL_PACKET_OCTETS = 24;
/** with the shortest authentication section (RFC 5880 6.8.6) */
const AUTHENTICATED_OCTETS = 26;
const VERSION = 1;
const FLAG = {
  poll: 0x20,
  final: 0x10,
  independent: 0x08,
  authentication: 0x04,
  demand: 0x02,
  multipoint: 0x01,
};

/**
 * Reads the UDP payload. Authentication is not implemented: a packet that has some is refused, as RFC 5880 6.8.6 asks of a session without.
 * Octets behind the packet's own length are ignored.
 */
export function decodeControlPacket(octets: Uint8Array): DecodedPacket {
  // Three fixed octets come before the length; less is not even a header.
  if (octets.length < 4) return bad('truncated', `${octets.length} octets are no control packet`);
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  const first = view.getUint8(0);
  const flags = view.getUint8(1);
  const multiplier = view.getUint8(2);
  const length = view.getUint8(3);
  const version = first >> 5;
  if (version !== VERSION) return bad('version', `version ${version}, not ${VERSION}`);
  const authenticated = (flags & FLAG.authentication) !== 0;
  const least = authenticated ? AUTHENTICATED_OCTETS : CONTROL_PACKET_OCTETS;
  if (length < least) return bad('length', `a length of ${length}, less than ${least}`);
  if (length > octets.length) {
    return bad('truncated', `a length of ${length} in a payload of ${octets.length} octets`);
  }
  if (multiplier === 0) return bad('multiplier-zero', 'Detect Mult is 0');
  if ((flags & FLAG.multipoint) !== 0) return bad('multipoint', 'the Multipoint bit is set');
  const myDiscriminator = view.getUint32(4);
  if (myDiscriminator === 0) return bad('my-discriminator-zero', 'My Discriminator is 0');
  const yourDiscriminator = view.getUint32(8);
  const state = BFD_STATES[flags >> 6] ?? 'Down';
  if (yourDiscriminator === 0 && (state === 'Init' || state === 'Up')) {
    return bad('your-discriminator-zero', `Your Discriminator is 0 in state ${state}`);
  }
  if (authenticated) return bad('authentication', 'the packet is authenticated, which is not supported');
  return {
    ok: true,
    packet: {
      diagnostic: first & 0x1f,
      state,
      poll: (flags & FLAG.poll) !== 0,
      final: (flags & FLAG.final) !== 0,
      controlPlaneIndependent: (flags & FLAG.independent) !== 0,
      demand: (flags & FLAG.demand) !== 0,
      multiplier,
      myDiscriminator,
      yourDiscriminator,
      desiredMinTxUs: view.getUint32(12),
      requiredMinRxUs: view.getUint32(16),
      requiredMinEchoRxUs: view.getUint32(20),
    },
  };
}

/** The octets of a packet without authentication. */
export function encodeControlPacket(packet: ControlPacket): Uint8Array {
  const octets = new Uint8Array(CONTROL_PACKET_OCTETS);
  const view = new DataView(octets.buffer);
  view.setUint8(0, (VERSION << 5) | (packet.diagnostic & 0x1f));
  view.setUint8(
    1,
    (BFD_STATES.indexOf(packet.state) << 6) |
      (packet.poll ? FLAG.poll : 0) |
      (packet.final ? FLAG.final : 0) |
      (packet.controlPlaneIndependent ? FLAG.independent : 0) |
      (packet.demand ? FLAG.demand : 0),
  );
  view.setUint8(2, packet.multiplier);
  view.setUint8(3, CONTROL_PACKET_OCTETS);
  view.setUint32(4, packet.myDiscriminator);
  view.setUint32(8, packet.yourDiscriminator);
  view.setUint32(12, packet.desiredMinTxUs);
  view.setUint32(16, packet.requiredMinRxUs);
  view.setUint32(20, packet.requiredMinEchoRxUs);
  return octets;
}

/** A diagnostic in words, `Control Detection Time Expired`. */
export function diagnosticText(diagnostic: number): string {
  return DIAGNOSTIC_TEXTS[diagnostic] ?? `Diagnostic ${diagnostic}`;
}

function bad(problem: PacketProblem, text: string): DecodedPacket {
  return { ok: false, problem, text };
}

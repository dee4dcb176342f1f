/**
 * The ICMPv6 messages by which two neighbours on a link become known to each other: router solicitation and advertisement (RFC 4861 4.1, 4.2) and
 * echo (RFC 4443 4.1, 4.2). Pure; the kernel fills in the checksum and verifies that of what comes in, hop limit 255 is the socket's matter.
 */

/** ICMPv6 types. */
export const ICMPV6 = {
  echoRequest: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
} as const;

const OPTION_SOURCE_LINK_LAYER_ADDRESS = 1;
const SOLICITATION_BYTES = 8;
const ADVERTISEMENT_BYTES = 16;
const ECHO_BYTES = 8;
const OPTION_UNIT_BYTES = 8;
const MAC_BYTES = 6;

/** A message that passed RFC 4861 6.1.1 or 6.1.2, as far as its octets go. */
export type NeighbourMessage =
  | { readonly type: 'echo-reply'; readonly identifier: number }
  | { readonly type: 'solicitation'; readonly hasSourceLinkLayerAddress: boolean }
  | {
      readonly type: 'advertisement';
      /** seconds for which the sender may serve as default router; 0: not at all */
      readonly routerLifetimeSec: number;
    };

/** A router solicitation; `mac`: our hardware address, which the answer can then go to at once. */
export function encodeSolicitation(mac: Uint8Array): Uint8Array {
  return withSourceAddress(ICMPV6.routerSolicitation, SOLICITATION_BYTES, mac);
}

/**
 * A router advertisement that offers nothing: router lifetime 0, so that no host takes us for its default router (RFC 4861 6.2.3), no prefixes, no
 * parameters. All that it says is that we are here.
 */
export function encodeAdvertisement(mac: Uint8Array): Uint8Array {
  return withSourceAddress(ICMPV6.routerAdvertisement, ADVERTISEMENT_BYTES, mac);
}

/** An echo request: to all nodes of a link it makes those answer that speak no router discovery. */
export function encodeEchoRequest(identifier: number, sequence: number): Uint8Array {
  const message = new Uint8Array(ECHO_BYTES);
  message[0] = ICMPV6.echoRequest;
  const view = new DataView(message.buffer);
  view.setUint16(4, identifier & 0xffff);
  view.setUint16(6, sequence & 0xffff);
  return message;
}

/** Reads what came in. Undefined when it is none of the three, or must be dropped silently. */
export function decodeNeighbourMessage(message: Uint8Array): NeighbourMessage | undefined {
  const [type, code] = message;
  if (code !== 0) return undefined;
  if (type === ICMPV6.echoReply) {
    if (message.length < ECHO_BYTES) return undefined;
    return { type: 'echo-reply', identifier: ((message[4] ?? 0) << 8) | (message[5] ?? 0) };
  }
  if (type === ICMPV6.routerSolicitation) {
    const options = optionTypes(message, SOLICITATION_BYTES);
    return (
      options && {
        type: 'solicitation',
        hasSourceLinkLayerAddress: options.includes(OPTION_SOURCE_LINK_LAYER_ADDRESS),
      }
    );
  }
  if (type !== ICMPV6.routerAdvertisement) return undefined;
  if (optionTypes(message, ADVERTISEMENT_BYTES) === undefined) return undefined;
  const routerLifetimeSec = ((message[6] ?? 0) << 8) | (message[7] ?? 0);
  return { type: 'advertisement', routerLifetimeSec };
}

function withSourceAddress(type: number, fixedBytes: number, mac: Uint8Array): Uint8Array {
  const hasOption = mac.length === MAC_BYTES;
  const message = new Uint8Array(fixedBytes + (hasOption ? OPTION_UNIT_BYTES : 0));
  message[0] = type;
  if (hasOption) {
    message[fixedBytes] = OPTION_SOURCE_LINK_LAYER_ADDRESS;
    message[fixedBytes + 1] = 1;
    message.set(mac, fixedBytes + 2);
  }
  return message;
}

/** Types of the options behind the fixed part; undefined when that is cut short or an option has length 0 or overruns. */
function optionTypes(message: Uint8Array, fixedBytes: number): number[] | undefined {
  if (message.length < fixedBytes) return undefined;
  const types: number[] = [];
  for (let at = fixedBytes; at < message.length; ) {
    const octets = (message[at + 1] ?? 0) * OPTION_UNIT_BYTES;
    if (octets === 0 || at + octets > message.length) return undefined;
    types.push(message[at] ?? 0);
    at += octets;
  }
  return types;
}

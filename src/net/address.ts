/**
 * IP address values shared by every room. An address is immutable: its octets in network order and its family.
 * Text is read and written through the `ip-address` package, never on the hot path.
 */
import { Address4, Address6 } from 'ip-address';

/** An address family. IPv4 and IPv6 are equals everywhere. */
export type Family = 'ipv4' | 'ipv6';

/** Both families, in the order in which tables print them. */
export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** An IP address: 4 or 16 octets in network order. Treat `bytes` as read-only. */
export interface Address {
  readonly family: Family;
  readonly bytes: Uint8Array;
  /** RFC 4007 11: the interface that a link-local IPv6 address belongs to, where that is known */
  readonly zone?: string;
}

/** Octets in an address of the family: 4 or 16. */
export function addressOctets(family: Family): 4 | 16 {
  return family === 'ipv4' ? 4 : 16;
}

/** Bits in an address of the family: 32 or 128. */
export function addressBits(family: Family): 32 | 128 {
  return family === 'ipv4' ? 32 : 128;
}

const DOTTED_QUAD = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/;
const IPV6_CHARACTERS = /^[0-9a-fA-F:.]+$/;

/**
 * Reads an address without prefix length or zone: dotted quad without leading zeros (RFC 6943 3.1.1), or any RFC 4291 2.2 form.
 * Returns undefined when the text is not such an address.
 */
export function parseAddress(text: string): Address | undefined {
  if (DOTTED_QUAD.test(text)) {
    return { family: 'ipv4', bytes: Uint8Array.from(new Address4(text).toArray()) };
  }
  if (!text.includes(':') || !IPV6_CHARACTERS.test(text) || !Address6.isValid(text)) return undefined;
  const octets = new Address6(text).toUnsignedByteArray();
  const bytes = new Uint8Array(16);
  bytes.set(octets, 16 - octets.length);
  return { family: 'ipv6', bytes };
}

/** The canonical text of an address: dotted quad, or RFC 5952, with `%zone` behind it if it has one. */
export function formatAddress(address: Address): string {
  if (address.family === 'ipv4') return address.bytes.join('.');
  const text = Address6.fromByteArray(Array.from(address.bytes)).correctForm();
  return address.zone === undefined ? text : `${text}%${address.zone}`;
}

/** Makes an address from its octets, which are copied. Throws a RangeError unless there are 4 or 16. */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new RangeError(`an address has 4 or 16 octets, not ${bytes.length}`);
  }
  return { family: bytes.length === 4 ? 'ipv4' : 'ipv6', bytes: new Uint8Array(bytes) };
}

/** Makes an IPv4 address from its unsigned 32-bit value. */
export function addressFromUint32(value: number): Address {
  return { family: 'ipv4', bytes: Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value) };
}

/** The unsigned 32-bit value of an IPv4 address. */
export function addressToUint32(address: Address): number {
  return new DataView(address.bytes.buffer, address.bytes.byteOffset, 4).getUint32(0);
}

/** Orders by family (IPv4 first), then numerically, then by zone: negative, zero or positive. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family === 'ipv4' ? -1 : 1;
  for (let i = 0; i < a.bytes.length; i++) {
    const difference = (a.bytes[i] ?? 0) - (b.bytes[i] ?? 0);
    if (difference !== 0) return difference;
  }
  const [zoneA = '', zoneB = ''] = [a.zone, b.zone];
  return zoneA === zoneB ? 0 : zoneA < zoneB ? -1 : 1;
}

/** Whether two addresses are the same. */
export function addressesEqual(a: Address, b: Address): boolean {
  return compareAddresses(a, b) === 0;
}

/** Adds `offset` (0 or more) to an address. Returns undefined when it would leave the family's range. */
export function addToAddress(address: Address, offset: number | bigint): Address | undefined {
  const bytes = address.bytes.slice();
  let carry = BigInt(offset);
  for (let i = bytes.length - 1; i >= 0 && carry > 0n; i--) {
    const sum = BigInt(bytes[i] ?? 0) + carry;
    bytes[i] = Number(sum & 0xffn);
    carry = sum >> 8n;
  }
  return carry > 0n ? undefined : { family: address.family, bytes };
}

/** The value of an address as an unsigned integer of 32 or 128 bits. */
export function addressToBigInt(address: Address): bigint {
  let value = 0n;
  for (const octet of address.bytes) value = (value << 8n) | BigInt(octet);
  return value;
}

/** 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 2.5.6). */
export function isLinkLocal(address: Address): boolean {
  const [first = 0, second = 0] = address.bytes;
  return address.family === 'ipv4'
    ? first === 169 && second === 254
    : first === 0xfe && (second & 0xc0) === 0x80;
}

/** 0.0.0.0 or ::. */
export function isUnspecified(address: Address): boolean {
  return address.bytes.every((octet) => octet === 0);
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback(address: Address): boolean {
  if (address.family === 'ipv4') return address.bytes[0] === 127;
  return address.bytes[15] === 1 && address.bytes.subarray(0, 15).every((octet) => octet === 0);
}

/** 224.0.0.0/4 or ff00::/8. */
export function isMulticast(address: Address): boolean {
  const first = address.bytes[0] ?? 0;
  return address.family === 'ipv4' ? first >> 4 === 0xe : first === 0xff;
}

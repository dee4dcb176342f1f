/**
 * IP prefix values: an address whose host bits are zero, and a length. For a table of many prefixes use `PrefixTable`.
 */
import {
  type Address,
  addressBits,
  addressOctets,
  compareAddresses,
  type Family,
  formatAddress,
  parseAddress,
} from './address.ts';

/** A prefix (CIDR). `bytes` are the 4 or 16 octets of the network address, host bits zero. Treat as read-only. */
export interface Prefix {
  readonly family: Family;
  readonly bytes: Uint8Array;
  /** 0..32 or 0..128 */
  readonly length: number;
}

/** An address together with the length of the subnet it stands in, host bits kept (`10.0.0.5/24`). */
export interface InterfaceAddress {
  readonly address: Address;
  /** 0..32 or 0..128 */
  readonly length: number;
}

const CIDR = /^([^/]+)\/(\d{1,3})$/;

/**
 * Reads `ADDRESS/LENGTH`, host bits kept. Returns undefined when the text is malformed or the length out of range;
 * an address without a length is not accepted.
 */
export function parseInterfaceAddress(text: string): InterfaceAddress | undefined {
  const match = CIDR.exec(text);
  const address = match?.[1] === undefined ? undefined : parseAddress(match[1]);
  if (match?.[2] === undefined || address === undefined) return undefined;
  const length = Number(match[2]);
  if (length > addressBits(address.family) || String(length) !== match[2]) return undefined;
  return { address, length };
}

/** Reads `ADDRESS/LENGTH` as a prefix; host bits are cleared. Returns undefined when the text is malformed. */
export function parsePrefix(text: string): Prefix | undefined {
  const parsed = parseInterfaceAddress(text);
  return parsed && prefixOf(parsed.address, parsed.length);
}

/** The prefix of the given length that holds the address. Throws a RangeError for a length out of range. */
export function prefixOf(address: Address, length: number): Prefix {
  if (!Number.isInteger(length) || length < 0 || length > addressBits(address.family)) {
    throw new RangeError(`${length} is no prefix length of ${address.family}`);
  }
  const bytes = new Uint8Array(addressOctets(address.family));
  const whole = length >> 3;
  bytes.set(address.bytes.subarray(0, whole));
  if (length & 7) bytes[whole] = (address.bytes[whole] ?? 0) & (0xff00 >> (length & 7));
  return { family: address.family, bytes, length };
}

/** The prefix that holds just this address: /32 or /128. */
export function hostPrefix(address: Address): Prefix {
  return { family: address.family, bytes: address.bytes, length: addressBits(address.family) };
}

/** The network address of a prefix. */
export function networkAddress(prefix: Prefix): Address {
  return { family: prefix.family, bytes: prefix.bytes };
}

/** Canonical text, `10.0.0.0/8` or `2001:db8::/32`. Equal prefixes have equal text, so it serves as a map key off the hot path. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(networkAddress(prefix))}/${prefix.length}`;
}

/** Text of an interface address, `10.0.0.5/24`. */
export function formatInterfaceAddress(value: InterfaceAddress): string {
  return `${formatAddress(value.address)}/${value.length}`;
}

/** Orders by family, then numerically by address, then shorter first. */
export function comparePrefixes(a: Prefix, b: Prefix): number {
  return compareAddresses(a, b) || a.length - b.length;
}

/** Whether two prefixes are the same. */
export function prefixesEqual(a: Prefix, b: Prefix): boolean {
  return comparePrefixes(a, b) === 0;
}

/** Whether `inner` is equal to or inside `outer`. */
export function prefixContains(outer: Prefix, inner: Prefix): boolean {
  return (
    outer.family === inner.family &&
    outer.length <= inner.length &&
    sharesBits(outer.bytes, inner.bytes, outer.length)
  );
}

/** Whether the prefix holds the address. */
export function prefixContainsAddress(prefix: Prefix, address: Address): boolean {
  return prefix.family === address.family && sharesBits(prefix.bytes, address.bytes, prefix.length);
}

/** Whether one of two prefixes holds the other. */
export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return prefixContains(a, b) || prefixContains(b, a);
}

function sharesBits(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false;
  const rest = bits & 7;
  return rest === 0 || (((a[whole] ?? 0) ^ (b[whole] ?? 0)) & (0xff00 >> rest) & 0xff) === 0;
}

/** UDP sockets of either family, as the C library has them. */
import { socket } from '../../../fib/netlink/libc.ts';
import { AF_INET, AF_INET6 } from '../../../fib/netlink/registry.ts';
import { type Family, parseAddress } from '../../../src/net/address.ts';

const SOCK_DGRAM = 2;
/** struct sockaddr_in and sockaddr_in6 */
const SOCKADDR = {
  ipv4: { af: AF_INET, octets: 16, addressAt: 4 },
  ipv6: { af: AF_INET6, octets: 28, addressAt: 8 },
} as const satisfies Record<Family, object>;

function parsed(address: string): NonNullable<ReturnType<typeof parseAddress>> {
  const value = parseAddress(address);
  if (value === undefined) throw new Error(`"${address}" is no IP address`);
  return value;
}

/** A descriptor for packets of the address's family. Throws when the kernel has none. */
export function openUdp(address: string): number {
  const opened = socket(SOCKADDR[parsed(address).family].af, SOCK_DGRAM, 0);
  if ('errno' in opened) throw new Error(`socket: errno ${opened.errno}`);
  return opened.value;
}

export function socketAddress(address: string, port: number): Uint8Array {
  const { family, bytes } = parsed(address);
  const { af, octets, addressAt } = SOCKADDR[family];
  const result = Buffer.alloc(octets);
  result.writeUInt16LE(af);
  result.writeUInt16BE(port, 2);
  result.set(bytes, addressAt);
  return result;
}

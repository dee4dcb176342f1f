/** A short way to peers and values for programs that use the library: everything that `PeerConfig` wants decided, decided as routers do. */
import { parseAddress } from '../src/net/address.ts';
import type { FilterChain } from './policy/types.ts';
import type { PeerConfig } from './types.ts';

/** Lets everything pass. RFC 8212 asks for an explicit policy on eBGP; this is the most open one. */
export const ACCEPT_ALL: FilterChain = { name: 'accept-all', rules: [], fallThrough: 'accept' };

/** Lets nothing pass. */
export const REJECT_ALL: FilterChain = { name: 'reject-all', rules: [], fallThrough: 'reject' };

/** What nobody but the caller knows of a peer. All other fields of `PeerConfig` may be given too. */
export type PeerBasics = Pick<PeerConfig, 'localAs' | 'peerAs'> &
  Partial<Omit<PeerConfig, 'address'>> & {
    /** as text or as a value */
    readonly address: string | PeerConfig['address'];
  };

/**
 * Makes a complete configuration: port 179, both families, hold time 90 s, connect retry 2 s to 30 s, TTL 64 (set 1 for a peer that must be
 * directly connected), no graceful restart, and no policies, so that an eBGP peer gets and gives nothing until it has some (RFC 8212).
 * Throws a RangeError for an address that is none; the other fields are checked by `Speaker.setPeers`.
 */
export function makePeer(basics: PeerBasics): PeerConfig {
  const address = typeof basics.address === 'string' ? parseAddress(basics.address) : basics.address;
  if (address === undefined) throw new RangeError(`"${basics.address}" is not an address`);
  return {
    name: typeof basics.address === 'string' ? basics.address : String(basics.name ?? 'peer'),
    port: 179,
    passive: false,
    adminDown: false,
    holdTimeSec: 90,
    connectRetrySec: 2,
    connectRetryMaxSec: 30,
    ttl: 64,
    families: ['ipv4', 'ipv6'],
    nextHop: 'auto',
    allowOwnAs: 0,
    ...basics,
    address,
  };
}

/** A BGP identifier as a number, from a dotted quad. Throws a RangeError for anything else, and for 0.0.0.0. */
export function parseRouterId(text: string): number {
  const address = parseAddress(text);
  const octets = address?.family === 'ipv4' ? address.bytes : new Uint8Array(4);
  const id = new DataView(octets.buffer, octets.byteOffset, 4).getUint32(0);
  if (id === 0)
    throw new RangeError(`"${text}" is not a BGP identifier: expected four numbers such as 192.0.2.1`);
  return id;
}

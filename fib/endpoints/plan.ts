/** What one container's attachment consists of: names, addresses, settings. Pure. */
import { createHash } from 'node:crypto';
import { type Address, type Family, parseAddress } from '../../src/net/address.ts';
import type { Sysctl } from '../sysctl/sysctl.ts';

/** Links of ours begin with this; 11 hex digits follow. */
export const DEFAULT_LINK_PREFIX = 'oci';
const HASH_DIGITS = 11;
const MAX_NAME_LENGTH = 15;

/** Hardware address of every host end. With it each container finds its gateway at the same place, whatever host it is on. */
export const HOST_MAC: Uint8Array = new Uint8Array(6).fill(0xee);

function fixed(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
}

/** The containers' gateways. The IPv6 one is the link-local address that the host end makes of its hardware address (RFC 4291 A). */
export const GATEWAYS: Readonly<Record<Family, Address>> = {
  ipv4: fixed('169.254.1.1'),
  ipv6: fixed('fe80::ecee:eeff:feee:eeee'),
};

/** A limit of one direction. */
export interface BandwidthLimit {
  /** bits per second */
  readonly rateBits: number;
  /** bits that may pass at once after a pause; 0: a fitting amount */
  readonly burstBits: number;
}

/** Limits of a container's traffic, as it sees it: ingress is what it receives. */
export interface EndpointBandwidth {
  readonly ingress?: BandwidthLimit;
  readonly egress?: BandwidthLimit;
}

/** One container's attachment as it is to be. */
export interface EndpointSpec {
  /** unique on this host and stable, `NAMESPACE.NAME`: the host end's name is made from it */
  readonly id: string;
  /** path of the container's network namespace */
  readonly netns: string;
  /** the interface inside, default `eth0` */
  readonly containerIfname?: string | undefined;
  /** each becomes a /32 or /128 inside; at least one */
  readonly addresses: readonly Address[];
  /** of both ends, 1280..65535 */
  readonly mtu: number;
  /** hardware address inside, 6 octets; default: made from the id */
  readonly mac?: Uint8Array | undefined;
  /**
   * a default route through another interface may be there already: then this interface carries what is sent from its own addresses, by
   * a routing rule; default false: that is an error
   */
  readonly sharesNamespace?: boolean | undefined;
  readonly bandwidth?: EndpointBandwidth | undefined;
  /** ports of the host lead to it, also from 127.0.0.1: the kernel then routes that address to its link */
  readonly publishes?: boolean | undefined;
  /**
   * another program moves the container end into `netns` and sets it up (handed-link.ts); a pair that is there already is taken as it is;
   * default false
   */
  readonly isHanded?: boolean | undefined;
  /**
   * with `isHanded`: that program has not finished yet, so a missing pair is made to wait for it; default false: a missing pair is made
   * anew inside `netns`
   */
  readonly isAwaited?: boolean | undefined;
}

/** The families of its addresses. */
export function familiesOf({ addresses }: EndpointSpec): ReadonlySet<Family> {
  return new Set(addresses.map(({ family }) => family));
}

/** The host end's name: prefix and 11 hex digits of the id's SHA-1. Throws a RangeError for a prefix that is empty, too long or odd. */
export function hostLinkName(id: string, prefix: string = DEFAULT_LINK_PREFIX): string {
  if (!/^[a-z][a-z0-9_-]*$/.test(prefix) || prefix.length + HASH_DIGITS > MAX_NAME_LENGTH) {
    throw new RangeError(
      `link prefix "${prefix}": 1 to ${MAX_NAME_LENGTH - HASH_DIGITS} characters a-z 0-9 _ -, a letter first`,
    );
  }
  return prefix + createHash('sha1').update(id).digest('hex').slice(0, HASH_DIGITS);
}

/** The hardware address of a container's end: locally administered (first octet 02), the same each time for an id. */
export function containerMac(id: string): Uint8Array {
  const mac = new Uint8Array(createHash('sha1').update(`mac.${id}`).digest().subarray(0, 6));
  mac[0] = 0x02;
  return mac;
}

/** What is wrong with a specification, or undefined. */
export function problemOfSpec(spec: EndpointSpec): string | undefined {
  if (spec.id === '') return 'the id is empty';
  if (spec.addresses.length === 0) return 'it has no address';
  const name = spec.containerIfname ?? 'eth0';
  if (!/^[^/\s:]{1,15}$/.test(name) || name === '.' || name === '..' || name === 'lo') {
    return `"${name}" is no name for its interface`;
  }
  if (!Number.isInteger(spec.mtu) || spec.mtu < 1280 || spec.mtu > 65535)
    return `MTU ${spec.mtu} is not in 1280..65535`;
  const macProblem = spec.mac === undefined ? undefined : problemOfMac(spec.mac);
  return macProblem === undefined ? undefined : `its MAC ${macProblem}`;
}

/** What is wrong with a container's hardware address, or undefined. */
export function problemOfMac(mac: Uint8Array): string | undefined {
  if (mac.length !== 6 || ((mac[0] ?? 0) & 1) !== 0) return 'is not a unicast address of 6 octets';
  if (mac.every((octet) => octet === 0)) return 'is all zeros';
  if (mac.every((octet, index) => octet === HOST_MAC[index])) return "is the gateway's";
  return undefined;
}

/**
 * Settings of the host end, to be made before it goes up. rp_filter is strict: a container cannot send from an address that is not
 * routed to it (IPv6 has no such setting: the policy chains do it). proxy_arp is a second line behind the permanent neighbour entries.
 */
export function hostEndSysctls(name: string, families: ReadonlySet<Family>, publishes = false): Sysctl[] {
  const settings: Sysctl[] = [
    { key: `net/ipv4/conf/${name}/rp_filter`, value: '1' },
    { key: `net/ipv4/conf/${name}/forwarding`, value: '1' },
    { key: `net/ipv4/conf/${name}/proxy_arp`, value: '1' },
    // What a container sends to 127.0.0.0/8 is dropped in the raw table.
    { key: `net/ipv4/conf/${name}/route_localnet`, value: publishes ? '1' : '0' },
    { key: `net/ipv4/neigh/${name}/proxy_delay`, value: '0' },
  ];
  if (families.has('ipv6')) {
    settings.push(
      { key: `net/ipv6/conf/${name}/disable_ipv6`, value: '0' },
      { key: `net/ipv6/conf/${name}/accept_ra`, value: '0' },
      { key: `net/ipv6/conf/${name}/accept_dad`, value: '0' },
      { key: `net/ipv6/conf/${name}/dad_transmits`, value: '0' },
      // EUI-64: the kernel makes the gateway address from the hardware address again after every down and up.
      { key: `net/ipv6/conf/${name}/addr_gen_mode`, value: '0' },
      { key: `net/ipv6/conf/${name}/forwarding`, value: '1' },
    );
  }
  return settings;
}

/** Settings inside the container, to be made before its interface goes up. Its ip_forward is left alone. */
export function containerSysctls(name: string, families: ReadonlySet<Family>): Sysctl[] {
  if (!families.has('ipv6')) return [];
  return [
    { key: `net/ipv6/conf/${name}/disable_ipv6`, value: '0' },
    { key: `net/ipv6/conf/${name}/accept_ra`, value: '0' },
    { key: `net/ipv6/conf/${name}/accept_dad`, value: '0' },
    { key: `net/ipv6/conf/${name}/dad_transmits`, value: '0' },
  ];
}

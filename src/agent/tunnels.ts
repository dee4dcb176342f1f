/**
 * The tunnels that a host may have, one of each kind for all other hosts, and what of a Node's fields is theirs. VNI, port, handles and fields are
 * Calico's, so that hosts of both kinds reach each other; the devices' names are our own.
 */
import { createHash } from 'node:crypto';
import type { Encapsulation, OverlayEnd, OverlayNode } from '../calc/remote-routes.ts';
import type { Node, NodeSpec } from '../model/node.ts';
import { type Address, type Family, formatAddress, parseAddress } from '../net/address.ts';
import { parseInterfaceAddress } from '../net/prefix.ts';

export type TunnelKind = 'ipip' | 'vxlan4' | 'vxlan6';
export const TUNNEL_KINDS: readonly TunnelKind[] = ['vxlan4', 'vxlan6', 'ipip'];

/** What a Node says of one of its tunnels' ends. */
export interface TunnelEndFields {
  readonly address?: string;
  /** VXLAN only */
  readonly mac?: string;
}

/** A kind of tunnel. */
export interface Tunnel {
  /** of inner and outer packets */
  readonly family: Family;
  readonly encapsulation: Encapsulation;
  /** name of the device */
  readonly link: string;
  /** octets that the outer headers take: IP 20 or 40; of VXLAN also Ethernet 14, VXLAN 8, UDP 8 */
  readonly overhead: number;
  /** the tunnel address's handle in IPAM is this and the node's name */
  readonly handlePrefix: string;
  /** its `type` attribute there */
  readonly addressType: string;
  read(spec: NodeSpec): TunnelEndFields;
  /** The spec with these fields in place of the former ones. */
  write(spec: NodeSpec, end: TunnelEndFields): NodeSpec;
}

/** All kinds. */
export const TUNNELS: Readonly<Record<TunnelKind, Tunnel>> = {
  vxlan4: {
    family: 'ipv4',
    encapsulation: 'vxlan',
    link: 'vxlan.ocicat',
    overhead: 50,
    handlePrefix: 'vxlan-tunnel-addr-',
    addressType: 'vxlanTunnelAddress',
    read: ({ ipv4VXLANTunnelAddr, vxlanTunnelMACAddr }) => end(ipv4VXLANTunnelAddr, vxlanTunnelMACAddr),
    write: ({ ipv4VXLANTunnelAddr: _, vxlanTunnelMACAddr: __, ...rest }, { address, mac }) => ({
      ...rest,
      ...(address === undefined ? {} : { ipv4VXLANTunnelAddr: address }),
      ...(mac === undefined ? {} : { vxlanTunnelMACAddr: mac }),
    }),
  },
  vxlan6: {
    family: 'ipv6',
    encapsulation: 'vxlan',
    link: 'vxlan-v6.ocicat',
    overhead: 70,
    handlePrefix: 'vxlan-v6-tunnel-addr-',
    addressType: 'vxlanV6TunnelAddress',
    read: ({ ipv6VXLANTunnelAddr, vxlanTunnelMACAddrV6 }) => end(ipv6VXLANTunnelAddr, vxlanTunnelMACAddrV6),
    write: ({ ipv6VXLANTunnelAddr: _, vxlanTunnelMACAddrV6: __, ...rest }, { address, mac }) => ({
      ...rest,
      ...(address === undefined ? {} : { ipv6VXLANTunnelAddr: address }),
      ...(mac === undefined ? {} : { vxlanTunnelMACAddrV6: mac }),
    }),
  },
  ipip: {
    family: 'ipv4',
    encapsulation: 'ipip',
    link: 'ipip.ocicat',
    overhead: 20,
    handlePrefix: 'ipip-tunnel-addr-',
    addressType: 'ipipTunnelAddress',
    read: ({ bgp }) => end(bgp?.ipv4IPIPTunnelAddr, undefined),
    write: ({ bgp, ...rest }, { address }) => {
      const { ipv4IPIPTunnelAddr: _, ...others } = bgp ?? {};
      const written = { ...others, ...(address === undefined ? {} : { ipv4IPIPTunnelAddr: address }) };
      // Calico refuses an empty one.
      return Object.keys(written).length === 0 ? rest : { ...rest, bgp: written };
    },
  },
};

/** Names of the links that encapsulation makes. */
export const TUNNEL_LINKS: readonly string[] = TUNNEL_KINDS.map((kind) => TUNNELS[kind].link);

function end(address: string | undefined, mac: string | undefined): TunnelEndFields {
  return { ...(address === undefined ? {} : { address }), ...(mac === undefined ? {} : { mac }) };
}

/** The tunnel address that a Node has written for a kind of tunnel. */
export function writtenAddress(node: Node | undefined, kind: TunnelKind): Address | undefined {
  return node === undefined ? undefined : textAddress(TUNNELS[kind].read(node.spec).address);
}

/** The fields of an end with this address. */
export function endFields(kind: TunnelKind, node: string, address: Address): TunnelEndFields {
  const { encapsulation, family } = TUNNELS[kind];
  return {
    address: formatAddress(address),
    ...(encapsulation === 'vxlan' ? { mac: formatMac(macOf(node, family)) } : {}),
  };
}

/** The MAC address of a node's VXLAN end where its Node names none: as Calico derives it, `f` and the start of SHA-1 of the name. */
export function macOf(node: string, family: Family): Uint8Array {
  const digest = createHash('sha1')
    .update(family === 'ipv4' ? node : `${node}-v6`)
    .digest();
  return new Uint8Array([0x66, ...digest.subarray(0, 5)]);
}

/** A Node as far as encapsulation goes. */
export function overlayNode({ metadata, spec }: Node): OverlayNode {
  const endOf = (kind: 'vxlan4' | 'vxlan6', own: string | undefined): OverlayEnd => {
    const host = own === undefined ? undefined : (parseInterfaceAddress(own)?.address ?? parseAddress(own));
    const fields = TUNNELS[kind].read(spec);
    const address = textAddress(fields.address);
    return {
      ...(host === undefined ? {} : { host }),
      ...(address === undefined ? {} : { address }),
      mac: parseMac(fields.mac) ?? macOf(metadata.name, TUNNELS[kind].family),
    };
  };
  return {
    name: metadata.name,
    ends: { ipv4: endOf('vxlan4', spec.bgp?.ipv4Address), ipv6: endOf('vxlan6', spec.bgp?.ipv6Address) },
  };
}

function textAddress(text: string | undefined): Address | undefined {
  return text === undefined ? undefined : parseAddress(text);
}

function parseMac(text: string | undefined): Uint8Array | undefined {
  const octets = text?.split(/[:-]/).map((part) => Number.parseInt(part, 16));
  return octets?.length === 6 && octets.every((octet) => octet >= 0 && octet <= 255)
    ? new Uint8Array(octets)
    : undefined;
}

function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}

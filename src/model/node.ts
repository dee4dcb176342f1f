/** Node: a host, its BGP identity and its addresses. */
import type { ResourceOf } from './metadata-types.ts';
import { address, asNumber, cidrOrAddress, mac } from './scalars.ts';
import { list, object, optional, text } from './schema.ts';

export interface NodeBgpSpec {
  /** 0..4294967295; absent: that of BGPConfiguration, else 64512 */
  readonly asNumber?: number;
  /** address with the length of its subnet, `192.0.2.1/24` */
  readonly ipv4Address?: string;
  readonly ipv6Address?: string;
  readonly ipv4IPIPTunnelAddr?: string;
  readonly routeReflectorClusterID?: string;
}

export interface NodeSpec {
  readonly bgp?: NodeBgpSpec;
  readonly ipv4VXLANTunnelAddr?: string;
  readonly vxlanTunnelMACAddr?: string;
  readonly ipv6VXLANTunnelAddr?: string;
  readonly vxlanTunnelMACAddrV6?: string;
  readonly orchRefs?: readonly { readonly nodeName?: string; readonly orchestrator?: string }[];
  readonly wireguard?: { readonly interfaceIPv4Address?: string; readonly interfaceIPv6Address?: string };
  readonly addresses?: readonly { readonly address?: string; readonly type?: string }[];
  readonly interfaces?: readonly { readonly name?: string; readonly addresses?: readonly string[] }[];
}

export type Node = ResourceOf<'Node', NodeSpec>;

const bgp = object<NodeBgpSpec>(
  {
    asNumber: optional(asNumber()),
    ipv4Address: optional(cidrOrAddress('ipv4')),
    ipv6Address: optional(cidrOrAddress('ipv6')),
    ipv4IPIPTunnelAddr: optional(address('ipv4')),
    routeReflectorClusterID: optional(address('ipv4')),
  },
  (value, path, problems) => {
    if (Object.keys(value).length === 0) problems.add(path, 'must not be empty: set a field or remove it');
  },
);

export const nodeSpec = object<NodeSpec>({
  bgp: optional(bgp),
  ipv4VXLANTunnelAddr: optional(address('ipv4')),
  vxlanTunnelMACAddr: optional(mac()),
  ipv6VXLANTunnelAddr: optional(address('ipv6')),
  vxlanTunnelMACAddrV6: optional(mac()),
  // Calico does not look into the three lists below either; only orchestrators read them.
  orchRefs: optional(
    list(
      object<{ nodeName?: string; orchestrator?: string }>({
        nodeName: optional(text()),
        orchestrator: optional(text()),
      }),
    ),
  ),
  wireguard: optional(
    object<{ interfaceIPv4Address?: string; interfaceIPv6Address?: string }>({
      interfaceIPv4Address: optional(address('ipv4')),
      interfaceIPv6Address: optional(address('ipv6')),
    }),
  ),
  addresses: optional(
    list(
      object<{ address?: string; type?: string }>({
        address: optional(text()),
        type: optional(text()),
      }),
    ),
  ),
  interfaces: optional(
    list(
      object<{ name?: string; addresses?: readonly string[] }>({
        name: optional(text()),
        addresses: optional(list(text())),
      }),
    ),
  ),
});

/** The container's end of a pair that we set up ourselves, and everything else inside its namespace. */
import { type LinkMessage, writeLinkChange } from '../netlink/link-message.ts';
import { inNamespace } from '../netlink/namespace.ts';
import { writePermanentNeighbour } from '../netlink/neighbour-message.ts';
import { IFF } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { ensureSysctl } from '../sysctl/sysctl.ts';
import { setAddresses } from './addresses.ts';
import { setContainerRoutes } from './container-routes.ts';
import { EndpointError } from './endpoint-error.ts';
import { findLink, setLinkMtu, setLinkUp } from './link.ts';
import { containerSysctls, type EndpointSpec, familiesOf, GATEWAYS, HOST_MAC } from './plan.ts';

/** A socket into the container's namespace; the caller closes it. Throws an EndpointError if it cannot be entered. */
export function openInside(spec: EndpointSpec): NetlinkSocket {
  try {
    return NetlinkSocket.open({ netns: spec.netns });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `endpoint ${spec.id}: ${spec.netns} is no network namespace that can be entered: ${reason}`;
    throw new EndpointError('no-netns', message, error);
  }
}

/**
 * Settings, addresses, gateways and routes; the end goes up. Returns its hardware address. Throws an EndpointError if another interface
 * has the default route, a NetlinkError if the kernel refuses.
 */
export function setUpContainerEnd(
  spec: EndpointSpec,
  inside: NetlinkSocket,
  container: LinkMessage,
  name: string,
): Uint8Array {
  const { ifindex } = container;
  const families = familiesOf(spec);
  const mac = spec.mac ?? container.address;
  const settings = containerSysctls(name, families);
  inNamespace(spec.netns, () => settings.forEach(ensureSysctl));
  setLinkMtu(inside, container, spec.mtu);
  const lo = findLink(inside, 'lo');
  if (lo !== undefined && (lo.flags & IFF.UP) === 0) setLinkUp(inside, lo.ifindex, 'lo');
  setAddresses(inside, ifindex, spec.addresses);
  if (Buffer.compare(mac, container.address) !== 0) {
    inside.request(`set the MAC of ${name}`, (writer) => writeLinkChange(writer, ifindex, { mac }));
  }
  setLinkUp(inside, ifindex, name);
  for (const family of families) {
    inside.request(`add the gateway's neighbour entry`, (writer) => {
      writePermanentNeighbour(writer, ifindex, GATEWAYS[family], HOST_MAC);
    });
    const own = spec.addresses.filter((address) => address.family === family);
    if (!setContainerRoutes(inside, family, ifindex, own, spec.sharesNamespace ?? false)) {
      throw new EndpointError(
        'default-route-exists',
        `endpoint ${spec.id}: ${spec.netns} has an ${family} default route through another interface already; remove it first`,
      );
    }
  }
  return mac;
}

/**
 * The host's ends of the pairs: known again by name and hardware address alone, made with the pair, set up, taken down, deleted. A link
 * that has such a name and is not ours is never touched.
 */
import { closeSync, openSync } from 'node:fs';
import { writeAddressAddition } from '../netlink/address-message.ts';
import { decodeLink, type LinkMessage, writeLinkDump, writeVethCreation } from '../netlink/link-message.ts';
import { inNamespaceOrHere } from '../netlink/namespace.ts';
import { IFF, RT_SCOPE } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { ensureSysctl } from '../sysctl/sysctl.ts';
import { setNeighbours } from './addresses.ts';
import { limitSending } from './bandwidth.ts';
import { EndpointError } from './endpoint-error.ts';
import { waitingLinkName } from './handed-link.ts';
import { deleteLink, findLink, renameLink, setLinkDown, setLinkMtu, setLinkUp } from './link.ts';
import {
  containerMac,
  DEFAULT_LINK_PREFIX,
  type EndpointSpec,
  familiesOf,
  GATEWAYS,
  HOST_MAC,
  hostEndSysctls,
  hostLinkName,
} from './plan.ts';

const OWN_NAMESPACE = '/proc/thread-self/ns/net';

/** A host end of ours that is there. */
export interface HostLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly isUp: boolean;
  readonly mtu: number;
}

/** Where host ends are, and how they are called. */
export interface HostEndsOptions {
  /** path of the host's network namespace; default: the one we are in */
  readonly netns?: string | undefined;
  /** of the host ends' names, 1 to 4 characters; default `oci` */
  readonly linkPrefix?: string | undefined;
}

/** Owns the socket into the host's namespace. Methods that speak to the kernel throw a NetlinkError. */
export class HostEnds {
  readonly socket: NetlinkSocket;
  readonly #netns: string | undefined;
  readonly #prefix: string;

  /** Throws a RangeError for an impossible prefix. */
  constructor({ netns, linkPrefix = DEFAULT_LINK_PREFIX }: HostEndsOptions) {
    this.#netns = netns;
    this.#prefix = linkPrefix;
    hostLinkName('', linkPrefix);
    this.socket = NetlinkSocket.open({ netns });
  }

  close(): void {
    this.socket.close();
  }

  /** The host end's name of an endpoint. */
  nameOf(id: string): string {
    return hostLinkName(id, this.#prefix);
  }

  /** The name under which an endpoint's container end waits beside the host end, if another program is to take it. */
  waitingNameOf(id: string): string {
    return waitingLinkName(id, this.#prefix);
  }

  list(): HostLink[] {
    return this.socket
      .dumpList('list the interfaces', writeLinkDump, decodeLink)
      .filter((link) => link.name.startsWith(this.#prefix) && isOurs(link))
      .map(({ name, ifindex, flags, mtu }) => ({ ifname: name, ifindex, isUp: (flags & IFF.UP) !== 0, mtu }));
  }

  /** The link of that name, whosever it is. */
  find(ifname: string): LinkMessage | undefined {
    return findLink(this.socket, ifname);
  }

  /** The link of that name. Throws an EndpointError if it is a foreign one. */
  findOurs(ifname: string): LinkMessage | undefined {
    const link = this.find(ifname);
    if (link === undefined || isOurs(link)) return link;
    const kind = link.kind === '' ? 'hardware' : link.kind;
    throw new EndpointError(
      'name-taken',
      `the interface name ${ifname} is taken by a link that is not ours (${kind}); rename or remove it`,
    );
  }

  /**
   * An endpoint's host end that somebody has given another name, found by its other end: it gets its own again, for policy goes by it. What
   * is called as another endpoint's is left alone.
   */
  reclaim(spec: EndpointSpec, container: LinkMessage): LinkMessage | undefined {
    if (container.kind !== 'veth' || container.peerIfindex === 0) return undefined;
    if (Buffer.compare(container.address, spec.mac ?? containerMac(spec.id)) !== 0) return undefined;
    const link = findLink(this.socket, container.peerIfindex);
    if (link === undefined || !isOurs(link) || link.peerIfindex !== container.ifindex) return undefined;
    if (link.name.startsWith(this.#prefix)) return undefined;
    const name = this.nameOf(spec.id);
    renameLink(this.socket, link, name);
    return this.find(name);
  }

  /** Makes an endpoint's pair, down, with the other end in the container's namespace. */
  createPair(spec: EndpointSpec, containerIfname: string): void {
    this.#createPair(spec, containerIfname, spec.netns);
  }

  /** Makes an endpoint's pair, down, with the other end beside the host end, where it waits to be taken. */
  createWaitingPair(spec: EndpointSpec): void {
    this.#createPair(spec, this.waitingNameOf(spec.id), this.#netns ?? OWN_NAMESPACE);
  }

  #createPair(spec: EndpointSpec, containerIfname: string, netns: string): void {
    const hostIfname = this.nameOf(spec.id);
    const netnsFd = openSync(netns, 'r');
    try {
      this.socket.request(`make the pair ${hostIfname} - ${containerIfname}`, (writer) => {
        writeVethCreation(
          writer,
          { name: hostIfname, mac: HOST_MAC, mtu: spec.mtu },
          { name: containerIfname, mac: spec.mac ?? containerMac(spec.id), mtu: spec.mtu, netnsFd },
        );
      });
    } finally {
      closeSync(netnsFd);
    }
  }

  /** Everything about the end itself, whether it is up or not. */
  setUp(spec: EndpointSpec, host: LinkMessage): void {
    const families = familiesOf(spec);
    setLinkMtu(this.socket, host, spec.mtu);
    const settings = hostEndSysctls(host.name, families, spec.publishes);
    inNamespaceOrHere(this.#netns, () => settings.forEach(ensureSysctl));
    if (!families.has('ipv6')) return;
    this.socket.request(`give ${host.name} its gateway address`, (writer) => {
      writeAddressAddition(writer, host.ifindex, { address: GATEWAYS.ipv6, length: 64 }, RT_SCOPE.LINK);
    });
  }

  /** Tells where the container's addresses are, and limits what it receives. */
  leadTo(spec: EndpointSpec, hostIfindex: number, mac: Uint8Array): void {
    setNeighbours(this.socket, hostIfindex, spec.addresses, mac);
    const ingress = spec.bandwidth?.ingress;
    if (ingress !== undefined) limitSending(this.socket, hostIfindex, ingress);
  }

  /** Lets packets flow. */
  raise(spec: EndpointSpec, ifname: string, ifindex: number, mac: Uint8Array): void {
    setLinkUp(this.socket, ifindex, ifname);
    // Going down, at any time before, had emptied the neighbour table.
    setNeighbours(this.socket, ifindex, spec.addresses, mac);
  }

  /** Lets no packets flow any more. */
  lower({ ifindex, name }: LinkMessage): void {
    setLinkDown(this.socket, ifindex, name);
  }

  /** Takes the pair away. */
  delete({ ifindex, name }: LinkMessage): void {
    deleteLink(this.socket, ifindex, name);
  }
}

/** Whether a link is a host end of ours. A veth pair is made with its hardware address in one request, so this holds from its first moment. */
export function isOurs(link: LinkMessage): boolean {
  return link.kind === 'veth' && Buffer.compare(link.address, HOST_MAC) === 0;
}

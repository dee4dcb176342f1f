/**
 * Attaches containers: the veth pair and everything on both of its ends but the host's /32 and /128 routes, which go through the route
 * table. Each step looks at what is there and does what is missing, so a repeated attach repairs, and a crash between any two steps
 * leaves nothing that the next attach or detach cannot deal with. All calls are synchronous, some milliseconds.
 */
import { closeSync, openSync } from 'node:fs';
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { writeAddressAddition } from '../netlink/address-message.ts';
import {
  decodeLink,
  type LinkMessage,
  writeLinkChange,
  writeLinkDeletion,
  writeLinkDump,
  writeLinkQuery,
  writeVethCreation,
} from '../netlink/link-message.ts';
import { inNamespace, inNamespaceOrHere } from '../netlink/namespace.ts';
import { writePermanentNeighbour } from '../netlink/neighbour-message.ts';
import { IFF, RT_SCOPE } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { ensureSysctl, type Sysctl } from '../sysctl/sysctl.ts';
import { setAddresses, setNeighbours } from './addresses.ts';
import { limitSending } from './bandwidth.ts';
import { untilOperational } from './carrier.ts';
import { removeContainerRules, setContainerRoutes } from './container-routes.ts';
import {
  createWaitingPair,
  findHandedEnd,
  finishHandedEnd,
  nextInterfaceName,
  waitingLinkName,
} from './handed-link.ts';
import { LinkRemover } from './link-remover.ts';
import {
  containerMac,
  containerSysctls,
  DEFAULT_LINK_PREFIX,
  type EndpointSpec,
  GATEWAYS,
  HOST_MAC,
  hostEndSysctls,
  hostLinkName,
  problemOfSpec,
} from './plan.ts';
import { lackingOf } from './verify.ts';

const ENODEV = 19;

/** Why an endpoint cannot be attached. */
export type EndpointErrorCode =
  | 'invalid'
  | 'no-netns'
  | 'name-taken'
  | 'interface-exists'
  | 'default-route-exists'
  | 'kernel';

/** An attachment that failed; the text names the endpoint, what was tried and what to do. */
export class EndpointError extends Error {
  readonly code: EndpointErrorCode;

  constructor(code: EndpointErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'EndpointError';
    this.code = code;
  }
}

/** A prepared attachment. */
export interface PreparedEndpoint {
  readonly hostIfname: string;
  readonly hostIfindex: number;
  readonly containerIfname: string;
  readonly containerIfindex: number;
  readonly containerMac: Uint8Array;
  /** false when the pair was there already */
  readonly isNew: boolean;
  /** whether the host end was up already: policy must have reached it in an earlier life */
  readonly isUp: boolean;
  /** what is still another program's to do with the container end: to take it, or to set it up; always `nothing` unless it is handed */
  readonly awaits: 'taking' | 'set-up' | 'nothing';
}

/** A host end of ours that is there. */
export interface HostLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly isUp: boolean;
  readonly mtu: number;
}

/** Options of `EndpointLinks.open`. */
export interface EndpointLinksOptions {
  /** path of the host's network namespace; default: the one we are in */
  readonly netns?: string | undefined;
  /** of the host ends' names, 1 to 4 characters; default `oci` */
  readonly linkPrefix?: string | undefined;
}

/** Makes and removes the links of containers in one host namespace. */
export class EndpointLinks {
  readonly #netns: string | undefined;
  readonly #prefix: string;
  readonly #socket: NetlinkSocket;
  readonly #remover: LinkRemover;

  private constructor(options: EndpointLinksOptions) {
    this.#netns = options.netns;
    this.#prefix = options.linkPrefix ?? DEFAULT_LINK_PREFIX;
    hostLinkName('', this.#prefix);
    this.#socket = NetlinkSocket.open({ netns: options.netns });
    this.#remover = new LinkRemover(options.netns);
  }

  /** Throws a NetlinkError, or a RangeError for an impossible prefix. */
  static open(options: EndpointLinksOptions = {}): EndpointLinks {
    return new EndpointLinks(options);
  }

  close(): void {
    this.#remover.close();
    this.#socket.close();
  }

  /** The host end's name of an endpoint. */
  nameOf(id: string): string {
    return hostLinkName(id, this.#prefix);
  }

  /** Our host ends that are there, to adopt and to sweep. */
  list(): HostLink[] {
    return this.#socket
      .dumpList('list the interfaces', writeLinkDump, decodeLink)
      .filter((link) => link.name.startsWith(this.#prefix) && isOurs(link))
      .map(({ name, ifindex, flags, mtu }) => ({ ifname: name, ifindex, isUp: (flags & IFF.UP) !== 0, mtu }));
  }

  /**
   * Makes everything but the host end's going up: from then on `activate` is all that keeps packets from flowing, so policy and routes
   * go in between. On a pair that is there already it repairs what is missing and leaves the host end as it is. Throws an EndpointError.
   */
  prepare(spec: EndpointSpec): PreparedEndpoint {
    const problem = problemOfSpec(spec);
    if (problem !== undefined) throw new EndpointError('invalid', `endpoint ${spec.id}: ${problem}`);
    return this.#attempt(spec.id, 'attach', () => {
      if (spec.isHanded === true) return this.#prepareHanded(spec);
      const inside = openInside(spec);
      try {
        return this.#prepareWith(spec, inside);
      } finally {
        inside.close();
      }
    });
  }

  /** Lets packets flow: the host end goes up. Doing it twice does no harm. Throws an EndpointError. */
  activate(spec: EndpointSpec, prepared: PreparedEndpoint): void {
    this.#attempt(spec.id, 'activate', () => {
      this.#socket.request(`set ${prepared.hostIfname} up`, (writer) => {
        writeLinkChange(writer, prepared.hostIfindex, { up: true });
      });
      // Going down, at any time before, had emptied the neighbour table.
      setNeighbours(this.#socket, prepared.hostIfindex, spec.addresses, prepared.containerMac);
    });
  }

  /**
   * Resolves to true once an activated container can send, to false after `timeoutMs`: wait for it before telling anybody that the
   * container is connected, else its first packets may be lost. Rejects with an EndpointError if the namespace is gone.
   */
  async operational(spec: EndpointSpec, timeoutMs = 2000): Promise<boolean> {
    try {
      return await untilOperational(spec.netns, spec.containerIfname ?? 'eth0', timeoutMs);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new EndpointError('no-netns', `endpoint ${spec.id}: ${spec.netns}: ${reason}`, error);
    }
  }

  /** Changes the MTU of both ends of an endpoint that is attached. Throws an EndpointError. */
  setMtu(id: string, netns: string, containerIfname: string, mtu: number): void {
    this.#attempt(id, `set the MTU ${mtu} of`, () => {
      const host = this.#find(this.nameOf(id));
      if (host === undefined || !isOurs(host))
        throw new EndpointError('kernel', `endpoint ${id} is not attached`);
      const inside = NetlinkSocket.open({ netns });
      try {
        const container = inside.query(
          `look for ${containerIfname}`,
          (w) => writeLinkQuery(w, containerIfname),
          decodeLink,
        );
        if (container === undefined || container.peerIfindex !== host.ifindex) {
          throw new EndpointError(
            'kernel',
            `endpoint ${id}: ${containerIfname} in ${netns} is not its other end`,
          );
        }
        setMtuIfDifferent(inside, container, mtu);
      } finally {
        inside.close();
      }
      setMtuIfDifferent(this.#socket, host, mtu);
    });
  }

  /**
   * Takes an endpoint's links away, whatever is gone already. Returns whether there was anything. The host end's removal takes the other
   * end, the addresses, routes and neighbour entries of both with it. Throws an EndpointError when the name is a foreign link's.
   */
  detach(id: string): boolean {
    return this.detachLink(this.nameOf(id));
  }

  /** As `detach`, by the host end's name: for sweeping what `list` found. */
  detachLink(ifname: string): boolean {
    return this.#attempt(ifname, 'detach', () => {
      const link = this.#find(ifname);
      if (link === undefined) return false;
      if (!isOurs(link)) throw taken(ifname, link);
      this.#socket.request(`delete ${ifname}`, (writer) => writeLinkDeletion(writer, link.ifindex), [ENODEV]);
      return true;
    });
  }

  /**
   * Takes the host end down: from the moment it returns nothing reaches the container through it, nor comes from it. 0.2 ms, where the
   * removal takes the kernel a hundred times as long. Returns whether it is there. Throws an EndpointError when the name is a foreign link's.
   */
  cut(id: string): boolean {
    const ifname = this.nameOf(id);
    return this.#attempt(ifname, 'cut off', () => {
      const link = this.#find(ifname);
      if (link === undefined) return false;
      if (!isOurs(link)) throw taken(ifname, link);
      const write = (writer: Parameters<typeof writeLinkChange>[0]): void =>
        writeLinkChange(writer, link.ifindex, { up: false });
      this.#socket.request(`set ${ifname} down`, write, [ENODEV]);
      return true;
    });
  }

  /** As `detach`, but the kernel does it on another thread. Resolves when nothing is left; rejects with an EndpointError. */
  async remove(id: string): Promise<boolean> {
    const ifname = this.nameOf(id);
    const link = this.#attempt(ifname, 'detach', () => this.#find(ifname));
    if (link === undefined) return false;
    if (!isOurs(link)) throw taken(ifname, link);
    try {
      await this.#remover.remove(ifname, link.ifindex);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new EndpointError('kernel', `cannot detach endpoint ${ifname}: ${reason}`, error);
    }
    return true;
  }

  /** What the attachment lacks, in words; empty: nothing. Changes nothing. */
  verify(spec: EndpointSpec): string[] {
    try {
      const inside = openInside(spec);
      try {
        return lackingOf(spec, this.nameOf(spec.id), this.#socket, inside);
      } finally {
        inside.close();
      }
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  }

  /**
   * Takes away what a detached interface leaves in a container that lives on: rules that led to it. The namespace may be gone. For
   * containers with several interfaces; call it before `detach`.
   */
  detachInside(id: string, netns: string, containerIfname: string): void {
    const host = this.#find(this.nameOf(id));
    if (host === undefined) return;
    let inside: NetlinkSocket;
    try {
      inside = NetlinkSocket.open({ netns });
    } catch {
      return;
    }
    try {
      const write = (writer: Parameters<typeof writeLinkQuery>[0]): void =>
        writeLinkQuery(writer, containerIfname);
      const container = inside.query(`look for ${containerIfname}`, write, decodeLink);
      if (container?.peerIfindex !== host.ifindex) return;
      for (const family of FAMILIES) removeContainerRules(inside, family, container.ifindex);
    } finally {
      inside.close();
    }
  }

  #prepareWith(spec: EndpointSpec, inside: NetlinkSocket): PreparedEndpoint {
    const hostIfname = this.nameOf(spec.id);
    const containerIfname = spec.containerIfname ?? 'eth0';
    const families = new Set(spec.addresses.map(({ family }) => family));
    const findInside = (): LinkMessage | undefined =>
      inside.query(
        `look for ${containerIfname}`,
        (writer) => writeLinkQuery(writer, containerIfname),
        decodeLink,
      );

    let host = this.#find(hostIfname);
    let container = findInside();
    if (host !== undefined && !isOurs(host)) throw taken(hostIfname, host);
    const isPair =
      host !== undefined && container?.peerIfindex === host.ifindex && host.peerIfindex === container.ifindex;
    if (host !== undefined && !isPair) {
      // Of an earlier namespace of the same container.
      const { ifindex } = host;
      this.#socket.request(`delete ${hostIfname}`, (writer) => writeLinkDeletion(writer, ifindex), [ENODEV]);
      host = undefined;
      container = findInside();
    }
    const isNew = host === undefined;
    if (isNew) {
      if (container !== undefined) {
        throw new EndpointError(
          'interface-exists',
          `endpoint ${spec.id}: ${spec.netns} has an interface ${containerIfname} already; remove it or choose another name`,
        );
      }
      this.#createPair(spec, hostIfname, containerIfname);
      host = this.#find(hostIfname);
      container = findInside();
    }
    if (host === undefined || container === undefined) {
      throw new EndpointError(
        'kernel',
        `endpoint ${spec.id}: the pair ${hostIfname} vanished while it was made`,
      );
    }

    const { ifindex: hostIfindex } = host;
    this.#setUpHostEnd(spec, host, families);
    const mac = this.#setUpInside(spec, inside, container, containerIfname, families);
    setNeighbours(this.#socket, hostIfindex, spec.addresses, mac);
    const { ingress, egress } = spec.bandwidth ?? {};
    if (ingress !== undefined) limitSending(this.#socket, hostIfindex, ingress);
    if (egress !== undefined) limitSending(inside, container.ifindex, egress);
    return {
      hostIfname,
      hostIfindex,
      containerIfname,
      containerIfindex: container.ifindex,
      containerMac: mac,
      isNew,
      isUp: (host.flags & IFF.UP) !== 0,
      awaits: 'nothing',
    };
  }

  #prepareHanded(spec: EndpointSpec): PreparedEndpoint {
    const hostIfname = this.nameOf(spec.id);
    const found = this.#find(hostIfname);
    if (found !== undefined && !isOurs(found)) throw taken(hostIfname, found);
    if (found === undefined && spec.isAwaited !== true) return this.#prepareLost(spec);
    if (found === undefined) createWaitingPair(this.#socket, spec, hostIfname, this.#prefix, this.#netns);
    const waiting = this.#find(waitingLinkName(spec.id, this.#prefix));
    if (found !== undefined && waiting === undefined) return this.#prepareTaken(spec, found);
    const host = found ?? this.#find(hostIfname);
    if (host === undefined) {
      const message = `endpoint ${spec.id}: the pair ${hostIfname} vanished while it was made`;
      throw new EndpointError('kernel', message);
    }
    return {
      ...this.#prepareOutside(spec, host, waitingLinkName(spec.id, this.#prefix)),
      isNew: found === undefined,
      awaits: 'taking',
    };
  }

  /** Nobody hands an interface into a running container a second time: it is made there. */
  #prepareLost(spec: EndpointSpec): PreparedEndpoint {
    let inside: NetlinkSocket;
    try {
      inside = openInside(spec);
    } catch (error) {
      const message = `its interface is gone, and cannot be made anew: restart the container (${spec.netns} cannot be entered)`;
      throw new EndpointError('no-netns', message, error);
    }
    try {
      return this.#prepareWith(
        { ...spec, containerIfname: spec.containerIfname ?? nextInterfaceName(inside) },
        inside,
      );
    } finally {
      inside.close();
    }
  }

  #prepareTaken(spec: EndpointSpec, host: LinkMessage): PreparedEndpoint {
    let inside: NetlinkSocket;
    try {
      inside = openInside(spec);
    } catch {
      // The end is in a namespace that we do not see: all is well as long as nothing has to be mended there.
      return this.#prepareOutside(spec, host, spec.containerIfname ?? 'eth0');
    }
    try {
      const end = findHandedEnd(inside, host.ifindex);
      if (end === undefined) {
        const message = `its interface is not in ${spec.netns} any more: restart the container`;
        throw new EndpointError('no-netns', message);
      }
      const isFinished = finishHandedEnd(inside, end, spec);
      if (!isFinished && spec.isAwaited !== true)
        return this.#prepareWith({ ...spec, containerIfname: end.name }, inside);
      if (isFinished) setMtuIfDifferent(inside, end, spec.mtu);
      return {
        ...this.#prepareOutside(spec, host, end.name),
        awaits: isFinished ? 'nothing' : 'set-up',
      };
    } finally {
      inside.close();
    }
  }

  /** The host's side of a pair whose other end is not ours to touch. */
  #prepareOutside(spec: EndpointSpec, host: LinkMessage, containerIfname: string): PreparedEndpoint {
    const mac = spec.mac ?? containerMac(spec.id);
    this.#setUpHostEnd(spec, host, new Set(spec.addresses.map(({ family }) => family)));
    setNeighbours(this.#socket, host.ifindex, spec.addresses, mac);
    const { ingress } = spec.bandwidth ?? {};
    if (ingress !== undefined) limitSending(this.#socket, host.ifindex, ingress);
    return {
      hostIfname: host.name,
      hostIfindex: host.ifindex,
      containerIfname,
      containerIfindex: host.peerIfindex,
      containerMac: mac,
      isNew: false,
      isUp: (host.flags & IFF.UP) !== 0,
      awaits: 'nothing',
    };
  }

  #setUpHostEnd(spec: EndpointSpec, host: LinkMessage, families: ReadonlySet<Family>): void {
    setMtuIfDifferent(this.#socket, host, spec.mtu);
    const settings = hostEndSysctls(host.name, families, spec.publishes);
    inNamespaceOrHere(this.#netns, () => settings.forEach(ensureSysctl));
    if (!families.has('ipv6')) return;
    this.#socket.request(`give ${host.name} its gateway address`, (writer) => {
      writeAddressAddition(writer, host.ifindex, { address: GATEWAYS.ipv6, length: 64 }, RT_SCOPE.LINK);
    });
  }

  #createPair(spec: EndpointSpec, hostIfname: string, containerIfname: string): void {
    const netnsFd = openSync(spec.netns, 'r');
    try {
      this.#socket.request(`make the pair ${hostIfname} - ${containerIfname}`, (writer) => {
        const mac = spec.mac ?? containerMac(spec.id);
        writeVethCreation(
          writer,
          { name: hostIfname, mac: HOST_MAC, mtu: spec.mtu },
          { name: containerIfname, mac, mtu: spec.mtu, netnsFd },
        );
      });
    } finally {
      closeSync(netnsFd);
    }
  }

  /** Everything inside the container. Returns the hardware address of its end. */
  #setUpInside(
    spec: EndpointSpec,
    inside: NetlinkSocket,
    container: LinkMessage,
    name: string,
    families: ReadonlySet<Family>,
  ): Uint8Array {
    const { ifindex } = container;
    const mac = spec.mac ?? container.address;
    const settings: Sysctl[] = containerSysctls(name, families);
    inNamespace(spec.netns, () => settings.forEach(ensureSysctl));
    setMtuIfDifferent(inside, container, spec.mtu);
    const lo = inside.query('look for lo', (writer) => writeLinkQuery(writer, 'lo'), decodeLink);
    if (lo !== undefined && (lo.flags & IFF.UP) === 0) {
      inside.request('set lo up', (writer) => writeLinkChange(writer, lo.ifindex, { up: true }));
    }
    setAddresses(inside, ifindex, spec.addresses);
    if (Buffer.compare(mac, container.address) !== 0) {
      inside.request(`set the MAC of ${name}`, (writer) => writeLinkChange(writer, ifindex, { mac }));
    }
    inside.request(`set ${name} up`, (writer) => writeLinkChange(writer, ifindex, { up: true }));
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

  #find(name: string): LinkMessage | undefined {
    return this.#socket.query(`look for ${name}`, (writer) => writeLinkQuery(writer, name), decodeLink);
  }

  #attempt<T>(id: string, verb: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (error instanceof EndpointError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new EndpointError('kernel', `cannot ${verb} endpoint ${id}: ${reason}`, error);
    }
  }
}

function openInside(spec: EndpointSpec): NetlinkSocket {
  try {
    return NetlinkSocket.open({ netns: spec.netns });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `endpoint ${spec.id}: ${spec.netns} is no network namespace that can be entered: ${reason}`;
    throw new EndpointError('no-netns', message, error);
  }
}

function setMtuIfDifferent(socket: NetlinkSocket, link: LinkMessage, mtu: number): void {
  if (link.mtu === mtu) return;
  socket.request(`set the MTU of ${link.name} to ${mtu}`, (writer) =>
    writeLinkChange(writer, link.ifindex, { mtu }),
  );
}

/** A veth pair is made with its hardware address in one request, so this holds from its first moment. */
function isOurs(link: LinkMessage): boolean {
  return link.kind === 'veth' && Buffer.compare(link.address, HOST_MAC) === 0;
}

function taken(name: string, link: LinkMessage): EndpointError {
  const kind = link.kind === '' ? 'hardware' : link.kind;
  return new EndpointError(
    'name-taken',
    `the interface name ${name} is taken by a link that is not ours (${kind}); rename or remove it`,
  );
}

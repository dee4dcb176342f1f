/**
 * Attaches containers: the veth pair and everything on both of its ends but the host's /32 and /128 routes, which go through the route
 * table. Each step looks at what is there and does what is missing, so a repeated attach repairs, and a crash between any two steps
 * leaves nothing that the next attach or detach cannot deal with. All calls are synchronous, some milliseconds.
 */
import { FAMILIES } from '../../src/net/address.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { untilOperational } from './carrier.ts';
import { openInside } from './container-end.ts';
import { removeContainerRules } from './container-routes.ts';
import { EndpointError } from './endpoint-error.ts';
import { HostEnds, type HostEndsOptions, type HostLink, isOurs } from './host-ends.ts';
import { findLink, setLinkMtu } from './link.ts';
import { LinkRemover } from './link-remover.ts';
import { type EndpointSpec, problemOfSpec } from './plan.ts';
import { type PreparedEndpoint, prepareEndpoint } from './preparation.ts';
import { lackingOf } from './verify.ts';

/** Makes and removes the links of containers in one host namespace. */
export class EndpointLinks {
  readonly #hosts: HostEnds;
  readonly #remover: LinkRemover;

  private constructor(options: HostEndsOptions) {
    this.#hosts = new HostEnds(options);
    this.#remover = new LinkRemover(options.netns);
  }

  /** Throws a NetlinkError, or a RangeError for an impossible prefix. */
  static open(options: HostEndsOptions = {}): EndpointLinks {
    return new EndpointLinks(options);
  }

  close(): void {
    this.#remover.close();
    this.#hosts.close();
  }

  /** The host end's name of an endpoint. */
  nameOf(id: string): string {
    return this.#hosts.nameOf(id);
  }

  /** Our host ends that are there, to adopt and to sweep. */
  list(): HostLink[] {
    return this.#hosts.list();
  }

  /**
   * Makes everything but the host end's going up: from then on `activate` is all that keeps packets from flowing, so policy and routes
   * go in between. On a pair that is there already it repairs what is missing and leaves the host end as it is. Throws an EndpointError.
   */
  prepare(spec: EndpointSpec): PreparedEndpoint {
    const problem = problemOfSpec(spec);
    if (problem !== undefined) throw new EndpointError('invalid', `endpoint ${spec.id}: ${problem}`);
    return attempt(spec.id, 'attach', () => prepareEndpoint(this.#hosts, spec));
  }

  /** Lets packets flow: the host end goes up. Doing it twice does no harm. Throws an EndpointError. */
  activate(spec: EndpointSpec, { hostIfname, hostIfindex, containerMac }: PreparedEndpoint): void {
    attempt(spec.id, 'activate', () => this.#hosts.raise(spec, hostIfname, hostIfindex, containerMac));
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
    attempt(id, `set the MTU ${mtu} of`, () => {
      const host = this.#hosts.find(this.nameOf(id));
      if (host === undefined || !isOurs(host))
        throw new EndpointError('kernel', `endpoint ${id} is not attached`);
      const inside = NetlinkSocket.open({ netns });
      try {
        const container = findLink(inside, containerIfname);
        if (container === undefined || container.peerIfindex !== host.ifindex) {
          throw new EndpointError(
            'kernel',
            `endpoint ${id}: ${containerIfname} in ${netns} is not its other end`,
          );
        }
        setLinkMtu(inside, container, mtu);
      } finally {
        inside.close();
      }
      setLinkMtu(this.#hosts.socket, host, mtu);
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
    return attempt(ifname, 'detach', () => {
      const link = this.#hosts.findOurs(ifname);
      if (link !== undefined) this.#hosts.delete(link);
      return link !== undefined;
    });
  }

  /**
   * Takes the host end down: from the moment it returns nothing reaches the container through it, nor comes from it. 0.2 ms, where the
   * removal takes the kernel a hundred times as long. Returns whether it is there. Throws an EndpointError when the name is a foreign link's.
   */
  cut(id: string): boolean {
    const ifname = this.nameOf(id);
    return attempt(ifname, 'cut off', () => {
      const link = this.#hosts.findOurs(ifname);
      if (link !== undefined) this.#hosts.lower(link);
      return link !== undefined;
    });
  }

  /** As `detach`, but the kernel does it on another thread. Resolves when nothing is left; rejects with an EndpointError. */
  async remove(id: string): Promise<boolean> {
    const ifname = this.nameOf(id);
    const link = attempt(ifname, 'detach', () => this.#hosts.findOurs(ifname));
    if (link === undefined) return false;
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
        return lackingOf(spec, this.nameOf(spec.id), this.#hosts.socket, inside);
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
    const host = this.#hosts.find(this.nameOf(id));
    if (host === undefined) return;
    let inside: NetlinkSocket;
    try {
      inside = NetlinkSocket.open({ netns });
    } catch {
      return;
    }
    try {
      const container = findLink(inside, containerIfname);
      if (container?.peerIfindex !== host.ifindex) return;
      for (const family of FAMILIES) removeContainerRules(inside, family, container.ifindex);
    } finally {
      inside.close();
    }
  }
}

/** Tells whatever goes wrong as an EndpointError. */
function attempt<T>(id: string, verb: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof EndpointError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new EndpointError('kernel', `cannot ${verb} endpoint ${id}: ${reason}`, error);
  }
}

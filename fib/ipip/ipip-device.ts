/**
 * The IPIP device of this host: one for all other hosts, for a route's gateway says where its packets go. Nothing stands on it but its
 * address, so the kernel's present state is read back and only differences are written.
 */
import { type Address, addressesEqual } from '../../src/net/address.ts';
import { writeLinkDeletion, writeLinkQuery } from '../netlink/link-message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { KernelWatch } from '../routes/kernel-watch.ts';
import { GONE, settleTunnelLink } from '../tunnel/settle.ts';
import { decodeIpipLink, IPIP_KIND, type IpipLink, writeIpipCreation } from './link-message.ts';

/** A device that is wanted. */
export interface IpipSpec {
  /** at most 15 characters */
  readonly name: string;
  /** source of the outer packets, IPv4 */
  readonly local: Address;
  readonly mtu: number;
  /** the inner address of this end; stands on the device as /32 */
  readonly address: Address;
}

/** Somebody else's link has the name. */
export class IpipNameTaken extends Error {
  constructor(name: string, kind: string) {
    super(`link ${name} is no IPIP device (${kind === '' ? 'hardware' : kind}): rename or delete it`);
    this.name = 'IpipNameTaken';
  }
}

/** The device of one network namespace. */
export class IpipDevice {
  readonly #kernel: KernelWatch;
  readonly #socket: NetlinkSocket;

  /** `netns`: path, default the one we are in. Throws a NetlinkError. Changes nothing. */
  constructor(kernel: KernelWatch, netns?: string) {
    this.#kernel = kernel;
    // Not the watch's own socket: that one's changes are not heard.
    this.#socket = NetlinkSocket.open({ netns });
  }

  /** Stops; the device stays. */
  close(): void {
    this.#socket.close();
  }

  /**
   * Makes the device as wanted and brings it up; a present one is made anew only when what cannot be changed differs. Returns its index.
   * Throws a NetlinkError (EOPNOTSUPP: the kernel has no IPIP) or `IpipNameTaken`.
   */
  ensure(spec: IpipSpec): number {
    const { name, local, mtu } = spec;
    const present = this.#query(name);
    if (present !== undefined && present.kind !== IPIP_KIND) throw new IpipNameTaken(name, present.kind);
    const isKept =
      present?.local !== undefined && present.remote === undefined && addressesEqual(present.local, local);
    if (present !== undefined && !isKept) this.#delete(name, present.ifindex);
    if (!isKept)
      this.#socket.request(`make the IPIP device ${name}`, (writer) =>
        writeIpipCreation(writer, name, local, mtu),
      );
    const ifindex = isKept ? present.ifindex : this.#query(name)?.ifindex;
    if (ifindex === undefined) throw new Error(`IPIP device ${name} vanished right after it was made`);
    this.#kernel.drain();
    settleTunnelLink(this.#socket, spec, ifindex, this.#kernel.links.get(ifindex));
    this.#kernel.drain();
    return ifindex;
  }

  /** Deletes the device. False: there is none of that name and kind. Throws a NetlinkError. */
  remove(name: string): boolean {
    const present = this.#query(name);
    if (present?.kind !== IPIP_KIND) return false;
    this.#delete(name, present.ifindex);
    this.#kernel.drain();
    return true;
  }

  #query(name: string): IpipLink | undefined {
    return this.#socket.query(
      `look for ${name}`,
      (writer) => writeLinkQuery(writer, name),
      (message) => decodeIpipLink(message),
    );
  }

  #delete(name: string, ifindex: number): void {
    this.#socket.request(`delete ${name}`, (writer) => writeLinkDeletion(writer, ifindex), GONE);
  }
}

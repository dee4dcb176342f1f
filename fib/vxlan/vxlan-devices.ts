/**
 * VXLAN devices of this host and what stands on them: forwarding entries and permanent neighbours of the other tunnel ends. Everything on
 * a device of ours is ours, so the present state is read back and only differences are written; no memory is needed. Changes by others are
 * told (RTNLGRP_NEIGH).
 */
import { type Address, addressesEqual, formatAddress } from '../../src/net/address.ts';
import { writeLinkDeletion, writeLinkQuery } from '../netlink/link-message.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import {
  decodeNeighbour,
  writeNeighbourDeletion,
  writeNeighbourDump,
  writePermanentNeighbour,
} from '../netlink/neighbour-message.ts';
import type { MessageBody } from '../netlink/reader.ts';
import { AF_INET, AF_INET6, NUD, RTNLGRP } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { KernelWatch } from '../routes/kernel-watch.ts';
import { GONE, settleTunnelLink } from '../tunnel/settle.ts';
import { AF_BRIDGE, decodeFdbEntry, writeFdbDeletion, writeFdbEntry } from './fdb-message.ts';
import { decodeVxlanLink, type VxlanLink, type VxlanTunnel, writeVxlanCreation } from './link-message.ts';

const MONITOR_BYTES = 512 * 1024;

/** A device that is wanted. */
export interface VxlanSpec extends VxlanTunnel {
  /** at most 15 characters */
  readonly name: string;
  /** 6 octets */
  readonly mac: Uint8Array;
  readonly mtu: number;
  /** the inner address of this end; stands on the device as /32 or /128 */
  readonly address: Address;
}

/** Another host's end of the tunnel. */
export interface TunnelEnd {
  /** its inner address */
  readonly address: Address;
  /** 6 octets */
  readonly mac: Uint8Array;
  /** where it is: destination of outer packets */
  readonly host: Address;
}

/** Somebody else's link has the name. */
export class VxlanNameTaken extends Error {
  constructor(name: string, kind: string) {
    super(`link ${name} is no VXLAN device (${kind === '' ? 'hardware' : kind}): rename or delete it`);
    this.name = 'VxlanNameTaken';
  }
}

/** Options of `VxlanDevices`. */
export interface VxlanDevicesOptions {
  /** path of the network namespace; default: the one we are in */
  readonly netns?: string | undefined;
  /** somebody else may have changed forwarding entries or neighbours of a device of ours */
  readonly onForeignChange: () => void;
}

/** The devices of one network namespace. */
export class VxlanDevices {
  readonly #kernel: KernelWatch;
  readonly #options: VxlanDevicesOptions;
  readonly #socket: NetlinkSocket;
  readonly #devices = new Map<string, number>();
  /** inner addresses and MAC addresses of tunnel ends, by index of the device */
  readonly #wanted = new Map<number, ReadonlySet<string>>();
  #monitor: NetlinkMonitor | undefined;

  /** Throws a NetlinkError. Changes nothing. */
  constructor(kernel: KernelWatch, options: VxlanDevicesOptions) {
    this.#kernel = kernel;
    this.#options = options;
    // Not the watch's own socket: that one's changes are not heard.
    this.#socket = NetlinkSocket.open({ netns: options.netns });
  }

  /** Stops; the devices stay. */
  close(): void {
    this.#monitor?.close();
    this.#socket.close();
  }

  /**
   * Makes a device as wanted and brings it up; a present one is made anew only when what cannot be changed differs. Returns its index.
   * Throws a NetlinkError (EOPNOTSUPP: the kernel has no VXLAN) or `VxlanNameTaken`.
   */
  ensure(spec: VxlanSpec): number {
    const { name, mac, mtu } = spec;
    const present = this.#query(name);
    if (present !== undefined && present.kind !== 'vxlan') throw new VxlanNameTaken(name, present.kind);
    const isKept = present !== undefined && !present.isLearning && sameTunnel(present.tunnel, spec);
    if (present !== undefined && !isKept) this.#delete(name, present.ifindex);
    if (!isKept) {
      this.#socket.request(`make the VXLAN device ${name}`, (writer) =>
        writeVxlanCreation(writer, name, spec, mac, mtu),
      );
    }
    const ifindex = isKept ? present.ifindex : this.#query(name)?.ifindex;
    if (ifindex === undefined) throw new Error(`VXLAN device ${name} vanished right after it was made`);
    this.#kernel.drain();
    settleTunnelLink(this.#socket, spec, ifindex, this.#kernel.links.get(ifindex));
    const former = this.#devices.get(name);
    if (former !== undefined && former !== ifindex) this.#wanted.delete(former);
    this.#devices.set(name, ifindex);
    this.#watchEntries();
    this.#kernel.drain();
    return ifindex;
  }

  /** Makes the forwarding entries and neighbours of a device just those of the given ends. Throws a NetlinkError. */
  setEnds(name: string, ends: readonly TunnelEnd[]): void {
    const ifindex = this.#devices.get(name);
    if (ifindex === undefined) throw new Error(`setEnds of ${name} without ensure`);
    this.#wanted.set(
      ifindex,
      new Set(ends.flatMap(({ address, mac }) => [formatAddress(address), hex(mac)])),
    );
    this.#setForwarding(name, ifindex, ends);
    this.#setNeighbours(name, ifindex, ends);
  }

  /** Deletes a device, with everything on it. False: there is none of that name and kind. Throws a NetlinkError. */
  remove(name: string): boolean {
    this.#wanted.delete(this.#devices.get(name) ?? 0);
    this.#devices.delete(name);
    if (this.#devices.size === 0) {
      this.#monitor?.close();
      this.#monitor = undefined;
    }
    const present = this.#query(name);
    if (present?.kind !== 'vxlan') return false;
    this.#delete(name, present.ifindex);
    this.#kernel.drain();
    return true;
  }

  #query(name: string): VxlanLink | undefined {
    return this.#socket.query(
      `look for ${name}`,
      (writer) => writeLinkQuery(writer, name),
      (message) => decodeVxlanLink(message),
    );
  }

  #delete(name: string, ifindex: number): void {
    this.#socket.request(`delete ${name}`, (writer) => writeLinkDeletion(writer, ifindex), GONE);
  }

  #setForwarding(name: string, ifindex: number, ends: readonly TunnelEnd[]): void {
    const wanted = new Map(ends.map((end) => [`${hex(end.mac)} ${formatAddress(end.host)}`, end]));
    const present = this.#socket
      .dumpList(
        `read the forwarding entries of ${name}`,
        (writer) => writeNeighbourDump(writer, AF_BRIDGE, ifindex),
        decodeFdbEntry,
      )
      .filter((entry) => entry.ifindex === ifindex);
    for (const { mac, destination, state } of present) {
      const key = `${hex(mac)} ${formatAddress(destination)}`;
      if (wanted.has(key)) {
        if (state & NUD.PERMANENT) wanted.delete(key);
        continue;
      }
      this.#socket.request(
        `delete a forwarding entry of ${name}`,
        (writer) => writeFdbDeletion(writer, ifindex, mac, destination),
        GONE,
      );
    }
    for (const { mac, host } of wanted.values()) {
      this.#socket.request(`set the forwarding entry for ${formatAddress(host)} on ${name}`, (writer) =>
        writeFdbEntry(writer, ifindex, mac, host),
      );
    }
  }

  #setNeighbours(name: string, ifindex: number, ends: readonly TunnelEnd[]): void {
    const wanted = new Map(ends.map((end) => [formatAddress(end.address), end]));
    for (const family of [AF_INET, AF_INET6]) {
      const present = this.#socket
        .dumpList(
          `read the neighbours of ${name}`,
          (writer) => writeNeighbourDump(writer, family, ifindex),
          decodeNeighbour,
        )
        .filter((entry) => entry.ifindex === ifindex);
      for (const { address, mac, state } of present) {
        const key = formatAddress(address);
        const end = wanted.get(key);
        if (end === undefined) {
          // Entries that the kernel made for itself (multicast, failed lookups) go as they came.
          if ((state & NUD.PERMANENT) === 0) continue;
          this.#socket.request(
            `delete the neighbour ${key} of ${name}`,
            (writer) => writeNeighbourDeletion(writer, ifindex, address),
            GONE,
          );
        } else if (state & NUD.PERMANENT && Buffer.compare(mac, end.mac) === 0) wanted.delete(key);
      }
    }
    for (const [key, { address, mac }] of wanted) {
      this.#socket.request(`set the neighbour ${key} of ${name}`, (writer) =>
        writePermanentNeighbour(writer, ifindex, address, mac),
      );
    }
  }

  // What the kernel looks up by itself is none of our business; a deleted neighbour is announced in the state that it has then.
  #concernsUs(message: MessageBody): boolean {
    const entry = decodeFdbEntry(message) ?? decodeNeighbour(message);
    if (entry === undefined || ![...this.#devices.values()].includes(entry.ifindex)) return false;
    if (entry.state & NUD.PERMANENT) return true;
    const key = 'address' in entry ? formatAddress(entry.address) : hex(entry.mac);
    return this.#wanted.get(entry.ifindex)?.has(key) === true;
  }

  #watchEntries(): void {
    if (this.#monitor !== undefined) return;
    let isOurs = false;
    this.#monitor = NetlinkMonitor.open(
      {
        groups: [RTNLGRP.NEIGH],
        netns: this.#options.netns,
        ignorePortId: this.#socket.portId,
        bufferBytes: MONITOR_BYTES,
      },
      {
        message: (message) => {
          if (this.#concernsUs(message)) isOurs = true;
        },
        overrun: () => {
          isOurs = true;
        },
        drained: () => {
          if (!isOurs) return;
          isOurs = false;
          this.#options.onForeignChange();
        },
      },
    );
  }
}

function sameTunnel(present: VxlanTunnel | undefined, wanted: VxlanTunnel): boolean {
  return (
    present !== undefined &&
    present.vni === wanted.vni &&
    present.port === wanted.port &&
    addressesEqual(present.local, wanted.local)
  );
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

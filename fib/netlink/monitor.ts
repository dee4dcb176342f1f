/** Multicast notifications of the kernel (links, addresses, routes, neighbours, sysctls), event-driven. */

import { NetlinkError } from './error-message.ts';
import * as libc from './libc.ts';
import { filterProgram } from './packet-filter.ts';
import { type MessageBody, MessageCursor } from './reader.ts';
import { NETLINK_OPTION, SOL_NETLINK } from './registry.ts';
import { openRouteSocket } from './socket.ts';

const EAGAIN = 11;
const ENOBUFS = 105;
const DATAGRAM_BYTES = 64 * 1024;

/** What `NetlinkMonitor` calls. */
export interface MonitorHandlers {
  /** One notification. The octets are valid only during the call. */
  message(message: MessageBody): void;
  /** The kernel dropped notifications (ENOBUFS): everything that was learnt from them must be read again. */
  overrun(): void;
  /** All notifications that were waiting have been handed over. */
  drained?(): void;
}

/** Options of `NetlinkMonitor.open`. */
export interface MonitorOptions {
  /** RTNLGRP_* numbers */
  readonly groups: readonly number[];
  /** path of the network namespace; default: the one we are in */
  readonly netns?: string | undefined;
  /** notifications caused by the requests of the socket with this port id are left out, in the kernel */
  readonly ignorePortId?: number | undefined;
  /** receive buffer, default 8 MiB */
  readonly bufferBytes?: number | undefined;
}

/** Receives notifications until closed; it does not keep the process alive. */
export class NetlinkMonitor {
  readonly #fd: number;
  readonly #handlers: MonitorHandlers;
  readonly #watch: libc.ReadableWatch;
  // Of its own, since handlers may make requests, which receive into the shared one.
  readonly #buffer = new Uint8Array(DATAGRAM_BYTES);
  #closed = false;
  #draining = false;

  private constructor(fd: number, handlers: MonitorHandlers) {
    this.#fd = fd;
    this.#handlers = handlers;
    this.#watch = libc.watchReadable(fd, () => this.drain());
  }

  /** Subscribes in the current or the given network namespace. Throws a NetlinkError. */
  static open(options: MonitorOptions, handlers: MonitorHandlers): NetlinkMonitor {
    const { fd } = openRouteSocket(options.netns, options.bufferBytes);
    if (options.ignorePortId !== undefined) attachPortIdFilter(fd, options.ignorePortId);
    for (const group of options.groups) {
      const joined = libc.setsockoptInt(fd, SOL_NETLINK, NETLINK_OPTION.ADD_MEMBERSHIP, group);
      if ('errno' in joined) {
        libc.close(fd);
        throw new NetlinkError(`subscribe to netlink group ${group}`, joined.errno);
      }
    }
    return new NetlinkMonitor(fd, handlers);
  }

  /** Hands over everything that is waiting now. Owners call it to see the kernel's present state before they act on it. */
  drain(): void {
    if (this.#closed || this.#draining) return;
    this.#draining = true;
    const buffer = this.#buffer;
    let any = false;
    try {
      for (;;) {
        const received = libc.recv(this.#fd, buffer, libc.MSG_DONTWAIT);
        if (received === -EAGAIN) break;
        any = true;
        if (received === -ENOBUFS) {
          this.#handlers.overrun();
        } else if (received < 0) {
          throw new NetlinkError('receive notifications', -received);
        } else {
          const cursor = new MessageCursor(buffer, 0, received);
          while (cursor.next()) this.#handlers.message(cursor);
        }
        if (this.#closed) return;
      }
    } finally {
      this.#draining = false;
    }
    if (any) this.#handlers.drained?.();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    libc.close(this.#fd);
  }
}

/**
 * A classic BPF program on the socket: drop datagrams whose first header carries the port id, accept the rest. Loads are big-endian,
 * netlink is little-endian, hence the swap.
 */
function attachPortIdFilter(fd: number, portId: number): void {
  const swapped =
    ((portId & 0xff) << 24) | ((portId & 0xff00) << 8) | ((portId >>> 8) & 0xff00) | (portId >>> 24);
  const program = filterProgram([
    [0x20, 0, 0, 12], // ld [12]: nlmsg_pid
    [0x15, 0, 1, swapped >>> 0], // jeq
    [0x06, 0, 0, 0], // ret 0: drop
    [0x06, 0, 0, 0xffffffff], // ret all
  ]);
  const attached = libc.attachFilter(fd, program);
  if ('errno' in attached) throw new NetlinkError('attach a filter to a netlink socket', attached.errno);
}

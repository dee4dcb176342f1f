/** The host's interfaces and their addresses, kept by notifications, for those who need nothing else of the kernel. Asks for no privilege. */
import { type AddressMessage, decodeAddress, writeAddressDump } from '../netlink/address-message.ts';
import { decodeLink, type LinkMessage, writeLinkDump } from '../netlink/link-message.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import type { MessageBody } from '../netlink/reader.ts';
import { RTNLGRP } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { LinkTable } from './link-table.ts';

const READ_ATTEMPTS = 5;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 10_000;

export interface LinkWatchOptions {
  /** path of the network namespace; default: the one we are in */
  readonly netns?: string | undefined;
  /** receive buffer for notifications, default 8 MiB; an overrun leads to a new reading */
  readonly bufferBytes?: number | undefined;
  /** called when a reading after lost notifications fails; it is tried again with back-off */
  readonly onError: (error: unknown) => void;
}

/** Owns a socket for notifications; it does not keep the process alive. */
export class LinkWatch {
  readonly links = new LinkTable();
  readonly #options: LinkWatchOptions;
  readonly #monitor: NetlinkMonitor;
  #retryMs = RETRY_FIRST_MS;
  #retryTimer: NodeJS.Timeout | undefined;
  /** notifications were lost since the reading began */
  #hasLost = false;
  #isReading = false;

  private constructor(options: LinkWatchOptions) {
    this.#options = options;
    this.#monitor = NetlinkMonitor.open(
      {
        groups: [RTNLGRP.LINK, RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR],
        netns: options.netns,
        bufferBytes: options.bufferBytes,
      },
      { message: (message) => this.links.take(message), overrun: () => this.#readAgain() },
    );
  }

  /** Subscribes, then reads what there is. Throws a NetlinkError. */
  static open(options: LinkWatchOptions): LinkWatch {
    const watch = new LinkWatch(options);
    try {
      watch.#read();
    } catch (error) {
      watch.close();
      throw error;
    }
    return watch;
  }

  close(): void {
    clearTimeout(this.#retryTimer);
    this.#monitor.close();
  }

  #readAgain(): void {
    if (this.#isReading) {
      this.#hasLost = true;
      return;
    }
    clearTimeout(this.#retryTimer);
    try {
      this.#read();
      this.#retryMs = RETRY_FIRST_MS;
    } catch (error) {
      this.#options.onError(error);
      this.#retryTimer = setTimeout(() => this.#readAgain(), this.#retryMs).unref();
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
    }
  }

  #read(): void {
    this.#isReading = true;
    const socket = NetlinkSocket.open({ netns: this.#options.netns });
    try {
      for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt++) {
        this.#hasLost = false;
        const links: LinkMessage[] = [];
        const addresses: AddressMessage[] = [];
        const isWhole = [
          dump(socket, 'read the interfaces', writeLinkDump, decodeLink, links),
          dump(socket, 'read the addresses', writeAddressDump, decodeAddress, addresses),
        ].every((whole) => whole);
        this.links.replaceAll(links, addresses);
        // What was announced meanwhile is newer than what was read.
        this.#monitor.drain();
        if (isWhole && !this.#hasLost) return;
      }
    } finally {
      this.#isReading = false;
      socket.close();
    }
  }
}

/** False when the kernel's table changed while it was read. */
function dump<T>(
  socket: NetlinkSocket,
  what: string,
  write: (writer: MessageWriter) => void,
  decode: (message: MessageBody) => T | undefined,
  into: T[],
): boolean {
  socket.beginDump(what, write);
  for (;;) {
    const state = socket.stepDump((message) => {
      const decoded = decode(message);
      if (decoded !== undefined) into.push(decoded);
    });
    if (state !== 'more') return state === 'done';
  }
}

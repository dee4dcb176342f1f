/**
 * What a network namespace's main table holds, read by netlink: the whole of it, and the moment at which the last of many routes came or went.
 * The latter by notifications of a sample, picked in the kernel, so that the watching itself takes next to nothing from what is measured.
 */

import * as libc from '../../../fib/netlink/libc.ts';
import { filterProgram } from '../../../fib/netlink/packet-filter.ts';
import { MessageCursor } from '../../../fib/netlink/reader.ts';
import {
  AF_INET,
  AF_INET6,
  NETLINK_OPTION,
  NLM_F,
  RTM,
  RTNLGRP,
  SOL_NETLINK,
} from '../../../fib/netlink/registry.ts';
import {
  decodeRoute,
  forEachNextHop,
  RouteRecord,
  writeRouteDump,
} from '../../../fib/netlink/route-message.ts';
import { NetlinkSocket, openRouteSocket } from '../../../fib/netlink/socket.ts';
import { addressFromBytes, addressOctets, type Family, formatAddress } from '../../../src/net/address.ts';
import { PrefixTable } from '../../../src/net/prefix-table.ts';
import { type RouteTable, wordsOf } from '../bgp/routes.ts';

const MAIN = 254;
const PROTOCOL_KERNEL = 2;
const BUFFER_BYTES = 64 * 1024 * 1024;
/** about so many routes of a table are watched at least */
const MIN_SAMPLE = 8192;
const MULTIPLIER = 0x9e37_79b1;
/** of the destination in an IPv4 route's notification: header, rtmsg, RTA_TABLE, head of RTA_DST */
const DESTINATION_AT = 16 + 12 + 8 + 4;
const ENOBUFS = 105;

/** Routes to destinations are in the sample when so many upper bits of their scrambled network address are 0. */
export function sampleBits(count: number): number {
  return Math.max(0, Math.floor(Math.log2(count / MIN_SAMPLE)));
}

/** Whether the destination is in the sample. */
export function isSampled(word: number, bits: number): boolean {
  return bits === 0 || Math.imul(word, MULTIPLIER) >>> (32 - bits) === 0;
}

/** The same as a classic BPF program over a notification. */
export function sampleFilter(bits: number): Uint8Array {
  const accept = [0x06, 0, 0, 0xffff_ffff] as const;
  if (bits === 0) return filterProgram([accept]);
  return filterProgram([
    [0x20, 0, 0, DESTINATION_AT],
    [0x24, 0, 0, MULTIPLIER],
    [0x74, 0, 0, 32 - bits],
    [0x15, 0, 1, 0],
    accept,
    [0x06, 0, 0, 0],
  ]);
}

/** Watches the sample of a table's routes come and go. */
export class SampleWatch {
  /** of the sample, there now */
  count = 0;
  /** `performance.now` when it last changed */
  lastAt = 0;
  readonly #fd: number;
  readonly #buffer = new Uint8Array(64 * 1024);
  readonly #readable: libc.ReadableWatch;
  #fault: string | undefined;
  #wake: (() => void) | undefined;

  /** `netns`: its path; `bits`: see `sampleBits`. Throws a NetlinkError. */
  constructor(netns: string, bits: number) {
    this.#fd = openRouteSocket(netns, BUFFER_BYTES).fd;
    libc.attachFilter(this.#fd, sampleFilter(bits));
    libc.setsockoptInt(this.#fd, SOL_NETLINK, NETLINK_OPTION.ADD_MEMBERSHIP, RTNLGRP.IPV4_ROUTE);
    this.#readable = libc.watchReadable(this.#fd, () => this.#drain());
  }

  /** Resolves once so many are there. Rejects after `timeoutMs`. */
  async until(count: number, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.count !== count) {
      if (this.#fault !== undefined) throw new Error(this.#fault);
      const left = deadline - performance.now();
      if (left <= 0)
        throw new Error(
          `after ${timeoutMs / 1000} s ${this.count} of the sample's routes are there, not ${count}`,
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#readable.close();
    libc.close(this.#fd);
  }

  #drain(): void {
    for (;;) {
      const received = libc.recv(this.#fd, this.#buffer, libc.MSG_DONTWAIT);
      if (received === -ENOBUFS) this.#fault = 'the kernel dropped notifications of routes';
      if (received < 0) break;
      const cursor = new MessageCursor(this.#buffer, 0, received);
      while (cursor.next()) {
        if (cursor.type === RTM.NEWROUTE && (cursor.flags & NLM_F.REPLACE) === 0) this.count++;
        if (cursor.type === RTM.DELROUTE) this.count--;
      }
    }
    this.lastAt = performance.now();
    this.#wake?.();
  }
}

/** What a dump of the table came to. */
export interface TableState {
  /** routes that neither the kernel nor its interfaces made */
  readonly count: number;
  /** the first difference from what there should be */
  readonly problem: string | undefined;
}

/** The prefixes of a table, to look routes up in. */
export class ExpectedRoutes {
  readonly table: RouteTable;
  readonly #prefixes: PrefixTable;

  constructor(table: RouteTable) {
    this.table = table;
    this.#prefixes = new PrefixTable(table.family);
    const size = wordsOf(table.family);
    for (let index = 0; index < table.count; index++) {
      const word = (offset: number): number => (table.words[index * size + offset] ?? 0) | 0;
      const length = table.lengths[index] ?? 0;
      if (size === 1) this.#prefixes.intern(length, word(0), 0, 0, 0);
      else this.#prefixes.intern(length, word(0), word(1), word(2), word(3));
    }
  }

  /** Of the sample, in IPv4. */
  sampled(bits: number): number {
    return this.table.words.reduce((sum, word) => sum + (isSampled(word, bits) ? 1 : 0), 0);
  }

  /** Compares a namespace's main table: each prefix once and no other, each over just these gateways (as `formatAddress` writes them). */
  compare(netns: string, gateways: readonly string[]): TableState {
    const wanted = [...gateways].sort().join(' ');
    const { family } = this.table;
    const record = new RouteRecord();
    const seen = new Uint8Array(this.#prefixes.idLimit);
    let count = 0;
    let problem: string | undefined;
    forEachRoute(
      netns,
      family,
      record,
      () => {
        count++;
        if (problem !== undefined) return;
        const { length, w0, w1, w2, w3 } = record;
        const id = this.#prefixes.find(length, w0, w1, w2, w3);
        const name = (): string => `${addressOfWords(family, [w0, w1, w2, w3])}/${length}`;
        if (id < 0) problem = `${name()} should not be there`;
        else if (seen[id] === 1) problem = `${name()} is there twice`;
        else {
          seen[id] = 1;
          const found = gatewaysOf(record);
          if (found !== wanted) problem = `${name()} goes over ${found || 'none'} instead of ${wanted}`;
        }
      },
      () => {
        count = 0;
        problem = undefined;
        seen.fill(0);
      },
    );
    if (problem === undefined && count !== this.table.count)
      problem = `${count} routes instead of ${this.table.count}`;
    return { count, problem };
  }
}

/** How many IPv4 routes a namespace's main table holds, without those of the kernel's own making. */
export function countRoutes(netns: string): number {
  let count = 0;
  forEachRoute(
    netns,
    'ipv4',
    new RouteRecord(),
    () => {
      count++;
    },
    () => {
      count = 0;
    },
  );
  return count;
}

function forEachRoute(
  netns: string,
  family: Family,
  record: RouteRecord,
  visit: () => void,
  restart: () => void,
): void {
  const socket = NetlinkSocket.open({ netns });
  try {
    socket.dump(
      'read the routes',
      (writer) => writeRouteDump(writer, RTM.GETROUTE, family === 'ipv4' ? AF_INET : AF_INET6, MAIN, 0),
      (message) => {
        if (decodeRoute(message, record) && record.protocol !== PROTOCOL_KERNEL) visit();
      },
      restart,
    );
  } finally {
    socket.close();
  }
}

function gatewaysOf(record: RouteRecord): string {
  const found: string[] = [];
  forEachNextHop(record, ({ gatewayAt, gatewayFamily }) => {
    if (gatewayAt < 0) found.push('-');
    else if (gatewayFamily === AF_INET6)
      found.push(ipv6Text(record.bytes.subarray(gatewayAt, gatewayAt + 16)));
    else found.push(dotted(record.view.getInt32(gatewayAt)));
  });
  return found.sort().join(' ');
}

/** Gateways are few and come with each route. */
const ipv6Texts = new Map<string, string>();

function ipv6Text(octets: Uint8Array): string {
  const key = Buffer.from(octets).toString('latin1');
  const known = ipv6Texts.get(key);
  if (known !== undefined) return known;
  const text = formatAddress(addressFromBytes(octets));
  ipv6Texts.set(key, text);
  return text;
}

/** An address of a family, words, as people write it. IPv4 has the first word alone. */
export function addressOfWords(family: Family, words: readonly number[]): string {
  const octets = new Uint8Array(addressOctets(family));
  const view = new DataView(octets.buffer);
  for (let at = 0; at < octets.length; at += 4) view.setInt32(at, words[at / 4] ?? 0);
  return formatAddress(addressFromBytes(octets));
}

/** An IPv4 address, a word, as people write it. */
export function dotted(word: number): string {
  return [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff).join('.');
}

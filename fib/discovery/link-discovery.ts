/**
 * Router discovery on one link. While the link works: advertisements, so that the neighbour learns of us, and solicitations until it is known. It is
 * known by its advertisements, by its answer to an echo request to all nodes, or by the kernel's neighbour entry, which comes into being as soon as
 * it sends anything to us of its own accord.
 */
import {
  type Address,
  addressesEqual,
  formatAddress,
  isLinkLocal,
  isUnspecified,
} from '../../src/net/address.ts';
import { IFA_F } from '../netlink/registry.ts';
import type { Link } from '../routes/link-table.ts';
import {
  decodeNeighbourMessage,
  encodeAdvertisement,
  encodeEchoRequest,
  encodeSolicitation,
} from './icmpv6.ts';
import { ALL_NODES, ALL_ROUTERS, Icmpv6Socket } from './icmpv6-socket.ts';
import { NeighbourChoice } from './neighbour-choice.ts';
import type { NeighbourWatch } from './neighbour-watch.ts';
import { nextAdvertisementMs, nextSolicitationMs } from './schedule.ts';

/** Solicitations are answered one at a time, at least so far apart: a flood of them gets no flood of answers. */
const REPLY_INTERVAL_MS = 500;
/** Neighbours are asked whether they are still there at least so far apart. */
const PROBE_INTERVAL_MS = 5_000;
/** After an error of the socket itself. */
const REOPEN_FIRST_MS = 1_000;
const REOPEN_MAX_MS = 60_000;
const ECHO_IDENTIFIER = 0x0c1;

/** Why nobody is known. */
export type WaitingReason =
  | 'no-such-interface'
  | 'link-down'
  | 'no-link-local-address'
  /** several neighbours, none of them a router */
  | 'ambiguous'
  | 'silent'
  /** sockets cannot be had; `onError` said why */
  | 'failed';

/** Who is on the link. */
export type Discovered =
  | { readonly found: true; readonly address: Address; readonly rivals: readonly Address[] }
  | { readonly found: false; readonly why: WaitingReason; readonly rivals: readonly Address[] };

/** What all links share. */
export interface LinkSurroundings {
  readonly netns: string | undefined;
  readonly neighbours: () => NeighbourWatch;
  /** 0 (inclusive) to 1 (exclusive) */
  readonly random: () => number;
  /** what `discovered` says may have changed */
  readonly onChange: () => void;
  readonly onError: (error: unknown, what: string) => void;
}

/** The owner of one link's discovery; `refresh` it whenever the link changes. */
export class LinkDiscovery {
  readonly name: string;
  readonly #around: LinkSurroundings;
  readonly #choice = new NeighbourChoice();
  #link: Link | undefined;
  #ownAddress: Address | undefined;
  #socket: Icmpv6Socket | undefined;
  /** in a row, to get the sockets */
  #failures = 0;
  #fault: string | undefined;
  #advertised = 0;
  #solicited = 0;
  #advertiseTimer: NodeJS.Timeout | undefined;
  #solicitTimer: NodeJS.Timeout | undefined;
  #reopenTimer: NodeJS.Timeout | undefined;
  #repliedAt = Number.NEGATIVE_INFINITY;
  #probedAt = Number.NEGATIVE_INFINITY;

  constructor(name: string, around: LinkSurroundings) {
    this.name = name;
    this.#around = around;
  }

  get ifindex(): number | undefined {
    return this.#link?.ifindex;
  }

  get discovered(): Discovered {
    const { address, rivals } = this.#choice;
    if (address !== undefined) return { found: true, address, rivals };
    return { found: false, why: this.#why(rivals), rivals };
  }

  /** The link is like this now; undefined: there is none of the name. */
  refresh(link: Link | undefined): void {
    const told = this.#answer();
    const before = this.#link;
    const ownAddress = link?.isRunning ? linkLocalOf(link) : undefined;
    const isSame = before?.ifindex === link?.ifindex && sameAddress(ownAddress, this.#ownAddress);
    const isGone = before !== undefined && before.ifindex !== link?.ifindex;
    this.#link = link;
    if (isGone) this.#choice.clear();
    if (isSame && ownAddress !== undefined && this.#socket !== undefined) return;
    const worked = this.#ownAddress !== undefined;
    this.#ownAddress = ownAddress;
    this.#stop();
    if (link?.isRunning !== true && worked) this.#choice.linkLost();
    if (link !== undefined && ownAddress !== undefined) this.#start(link);
    if (this.#answer() !== told) this.#around.onChange();
  }

  /** The kernel's word on a neighbour. */
  neighbour(address: Address, isThere: boolean): void {
    if (this.#ownAddress === undefined || addressesEqual(address, this.#ownAddress)) return;
    if (isThere) this.#heard(() => this.#choice.heardNeighbour(address));
    else {
      this.#choice.failed(address);
      if (this.#solicitTimer === undefined && this.#socket !== undefined) {
        this.#solicited = 0;
        this.#solicit();
      }
      this.#around.onChange();
    }
  }

  close(): void {
    this.#stop();
  }

  /** What `discovered` says, but for the others on the link. */
  #answer(): string {
    const { address, rivals } = this.#choice;
    return address === undefined ? this.#why(rivals) : formatAddress(address);
  }

  #why(rivals: readonly Address[]): WaitingReason {
    if (this.#link === undefined) return 'no-such-interface';
    if (!this.#link.isRunning) return 'link-down';
    if (this.#ownAddress === undefined) return 'no-link-local-address';
    if (this.#failures > 0) return 'failed';
    return rivals.length > 1 ? 'ambiguous' : 'silent';
  }

  #start(link: Link): void {
    try {
      this.#socket = Icmpv6Socket.open(
        link,
        (message, source) => this.#take(message, source),
        this.#around.netns,
      );
      this.#around.neighbours().read(link.ifindex);
    } catch (error) {
      this.#stop();
      this.#failures++;
      // Each fault is told once, however often it is tried again.
      const fault = String(error);
      if (fault !== this.#fault) this.#around.onError(error, `discover the neighbour on ${link.name}`);
      this.#fault = fault;
      const delayMs = Math.min(REOPEN_MAX_MS, REOPEN_FIRST_MS * 2 ** Math.min(this.#failures - 1, 16));
      this.#reopenTimer = setTimeout(() => this.refresh(this.#link), delayMs).unref();
      return;
    }
    this.#failures = 0;
    this.#fault = undefined;
    this.#advertised = 0;
    this.#solicited = 0;
    this.#advertise();
    this.#solicit();
  }

  #stop(): void {
    clearTimeout(this.#advertiseTimer);
    clearTimeout(this.#solicitTimer);
    this.#solicitTimer = undefined;
    clearTimeout(this.#reopenTimer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #take(octets: Uint8Array, source: Address): void {
    if (this.#ownAddress !== undefined && addressesEqual(source, this.#ownAddress)) return;
    const message = decodeNeighbourMessage(octets);
    if (message === undefined) return;
    if (message.type === 'echo-reply') {
      if (message.identifier === ECHO_IDENTIFIER && isLinkLocal(source))
        this.#heard(() => this.#choice.heardNeighbour(source));
      return;
    }
    if (message.type === 'advertisement') {
      // RFC 4861 6.1.2
      if (isLinkLocal(source)) this.#heard(() => this.#choice.heardRouter(source));
      return;
    }
    // RFC 4861 6.1.1
    if (isUnspecified(source) && message.hasSourceLinkLayerAddress) return;
    this.#reply(isLinkLocal(source) ? source : ALL_NODES);
  }

  #reply(to: Address): void {
    const now = performance.now();
    if (now - this.#repliedAt < REPLY_INTERVAL_MS) return;
    this.#repliedAt = now;
    this.#socket?.send(encodeAdvertisement(this.#link?.mac ?? new Uint8Array(0)), to);
  }

  #advertise(): void {
    this.#advertised++;
    this.#socket?.send(encodeAdvertisement(this.#link?.mac ?? new Uint8Array(0)), ALL_NODES);
    const delayMs = nextAdvertisementMs(this.#advertised, this.#around.random());
    this.#advertiseTimer = setTimeout(() => this.#advertise(), delayMs).unref();
  }

  // Who is no router, or as silent a one as BIRD, answers the echo request.
  #solicit(): void {
    this.#solicitTimer = undefined;
    if (this.#choice.isAlive) return;
    this.#solicited++;
    this.#socket?.send(encodeSolicitation(this.#link?.mac ?? new Uint8Array(0)), ALL_ROUTERS);
    this.#socket?.send(encodeEchoRequest(ECHO_IDENTIFIER, this.#solicited), ALL_NODES);
    const delayMs = nextSolicitationMs(this.#solicited, this.#around.random());
    this.#solicitTimer = setTimeout(() => this.#solicit(), delayMs).unref();
  }

  #heard(tell: () => boolean): void {
    const before = this.#choice.address;
    const isNews = tell();
    // Somebody else: is it a second neighbour, or the successor of one that is no more? The kernel finds out.
    if (this.#choice.rivals.length > 0) this.#probe();
    if (isNews || !sameAddress(before, this.#choice.address)) this.#around.onChange();
  }

  #probe(): void {
    const now = performance.now();
    const ifindex = this.#link?.ifindex;
    if (ifindex === undefined || now - this.#probedAt < PROBE_INTERVAL_MS) return;
    this.#probedAt = now;
    const { address, rivals } = this.#choice;
    const doubtful = address === undefined ? rivals : [address];
    for (const each of doubtful) this.#around.neighbours().probe(ifindex, each);
  }
}

/** Our address on the link: duplicate address detection is over and it may be used. */
function linkLocalOf(link: Link): Address | undefined {
  return link.addresses.find(
    ({ address, flags }) =>
      address.family === 'ipv6' &&
      isLinkLocal(address) &&
      (flags & (IFA_F.TENTATIVE | IFA_F.DADFAILED)) === 0,
  )?.address;
}

function sameAddress(a: Address | undefined, b: Address | undefined): boolean {
  return a === undefined || b === undefined ? a === b : addressesEqual(a, b);
}

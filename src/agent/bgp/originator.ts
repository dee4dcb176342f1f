/**
 * What this node advertises: its confirmed blocks, and addresses of endpoints outside them, each only while the kernel can forward it
 * (its blackhole or endpoint route is installed). Whoever knows of a change says which; what did not change is not looked at.
 */
import type { Speaker } from '../../../bgp/speaker.ts';
import { type Address, addressBits, type Family } from '../../net/address.ts';
import { formatPrefix, hostPrefix, networkAddress, type Prefix, prefixOf } from '../../net/prefix.ts';
import type { OriginRoutes } from './origin-routes.ts';

export interface OriginatorOptions {
  readonly routes: OriginRoutes;
  /** whether the pool that holds the prefix may be advertised (IPPool.spec.disableBGPExport) */
  readonly mayExport: (prefix: Prefix) => boolean;
}

/** A block, an address of endpoints, or a block of one address that is both. */
interface Candidate {
  readonly key: string;
  readonly prefix: Prefix;
  isBlock: boolean;
  /** endpoints that are up and have it as their address */
  holders: number;
  /** the block that an address lies in: that is advertised in its place */
  block: Block | undefined;
}

interface Block {
  readonly candidate: Candidate;
  /** addresses of endpoints inside */
  readonly members: Set<Candidate>;
}

interface Originated {
  readonly prefix: Prefix;
  /** that it leads to */
  readonly link: string | undefined;
}

/** Keeps blackholes, originated routes and the wish in step. */
export class Originator {
  readonly #options: OriginatorOptions;
  /** by prefix as text, as all maps below */
  readonly #candidates = new Map<string, Candidate>();
  readonly #blocks = new Map<string, Block>();
  /** how many blocks there are of each prefix length */
  readonly #blockLengths: Readonly<Record<Family, Map<number, number>>> = {
    ipv4: new Map(),
    ipv6: new Map(),
  };
  /** addresses of endpoints that lie in no block: borrowed ones, few */
  readonly #outside = new Set<Candidate>();
  /** by endpoint id */
  readonly #endpoints = new Map<string, readonly Candidate[]>();
  readonly #originated = new Map<string, Originated>();
  /** what is originated, by the link that it leads to */
  readonly #byLink = new Map<string, Set<Candidate>>();
  /** to be looked at after the next slice of route work: not in the kernel when last seen, or the kernel announced something of it */
  readonly #unsettled = new Set<Candidate>();
  #speaker: Pick<Speaker, 'originate' | 'withdraw'> | undefined;

  constructor(options: OriginatorOptions) {
    this.#options = options;
  }

  /** A new speaker (or none): everything is originated on it anew. */
  attach(speaker: Pick<Speaker, 'originate' | 'withdraw'> | undefined): void {
    this.#speaker = speaker;
    this.#originated.clear();
    this.#byLink.clear();
    this.reconsider();
  }

  /** Prefixes that are advertised now. */
  get originated(): readonly Prefix[] {
    return [...this.#originated.values()].map(({ prefix }) => prefix);
  }

  /** Whether a prefix is advertised now. */
  originates(prefix: Prefix): boolean {
    return this.#originated.has(formatPrefix(prefix));
  }

  /** Whether every block has its route in the kernel, so that nothing of the initial table is missing. */
  get isComplete(): boolean {
    for (const candidate of this.#unsettled)
      if (hasBlackhole(candidate) && !this.#options.routes.isInstalled(candidate.prefix)) return false;
    return true;
  }

  /** Blocks of this node were confirmed, or are not its own any more. What was said before may be said again. */
  changeBlocks({
    added,
    removed,
  }: {
    readonly added: readonly Prefix[];
    readonly removed: readonly Prefix[];
  }) {
    for (const prefix of removed) this.#removeBlock(formatPrefix(prefix));
    for (const prefix of added) this.#addBlock(prefix);
  }

  /** The addresses of an endpoint that is up; none: it is not, or has gone. */
  setEndpoint(id: string, addresses: readonly Address[]): void {
    const before = this.#endpoints.get(id) ?? [];
    const now = addresses.map((address) => this.#hold(hostPrefix(address)));
    if (now.length === 0) this.#endpoints.delete(id);
    else this.#endpoints.set(id, now);
    for (const candidate of before) this.#release(candidate);
    // An endpoint that was changed may have another link.
    for (const candidate of now) this.#settle(candidate);
  }

  /** A slice of route work is done. */
  applied(): void {
    for (const candidate of [...this.#unsettled]) this.#settle(candidate);
  }

  /** The kernel announced something of a prefix: looked at once the route work that follows from it is done. */
  doubt(prefix: Prefix): void {
    const candidate = this.#candidates.get(formatPrefix(prefix));
    if (candidate !== undefined) this.#unsettled.add(candidate);
  }

  /** As `doubt`, for all that leads to a link. */
  doubtLink(name: string): void {
    for (const candidate of this.#byLink.get(name) ?? []) this.#unsettled.add(candidate);
  }

  /** As `doubt`, for everything. */
  doubtAll(): void {
    for (const candidate of this.#candidates.values()) this.#unsettled.add(candidate);
  }

  /** A link has another name: its routes are the same. */
  renameLink(before: string): void {
    for (const candidate of [...(this.#byLink.get(before) ?? [])]) this.#settle(candidate);
  }

  /** Looks at everything, after a change of the pools. */
  reconsider(): void {
    for (const candidate of [...this.#candidates.values()]) this.#settle(candidate);
  }

  #addBlock(prefix: Prefix): void {
    const key = formatPrefix(prefix);
    if (this.#blocks.has(key)) return;
    const candidate = this.#candidate(key, prefix);
    candidate.isBlock = true;
    const block: Block = { candidate, members: new Set() };
    this.#blocks.set(key, block);
    const lengths = this.#blockLengths[prefix.family];
    lengths.set(prefix.length, (lengths.get(prefix.length) ?? 0) + 1);
    if (hasBlackhole(candidate)) this.#options.routes.setBlackhole(prefix);
    for (const outside of [...this.#outside])
      if (this.#blockOf(outside.prefix) === block) this.#place(outside);
    this.#settle(candidate);
  }

  #removeBlock(key: string): void {
    const block = this.#blocks.get(key);
    if (block === undefined) return;
    const { candidate, members } = block;
    const { family, length } = candidate.prefix;
    this.#blocks.delete(key);
    const lengths = this.#blockLengths[family];
    const left = (lengths.get(length) ?? 1) - 1;
    if (left === 0) lengths.delete(length);
    else lengths.set(length, left);
    if (hasBlackhole(candidate)) this.#options.routes.removeBlackhole(candidate.prefix);
    candidate.isBlock = false;
    for (const member of members) this.#place(member);
    this.#settle(candidate);
  }

  #hold(prefix: Prefix): Candidate {
    const candidate = this.#candidate(formatPrefix(prefix), prefix);
    if (candidate.holders++ === 0) this.#place(candidate);
    return candidate;
  }

  #release(candidate: Candidate): void {
    if (--candidate.holders > 0) return;
    candidate.block?.members.delete(candidate);
    candidate.block = undefined;
    this.#outside.delete(candidate);
    this.#settle(candidate);
  }

  #candidate(key: string, prefix: Prefix): Candidate {
    const known = this.#candidates.get(key);
    if (known !== undefined) return known;
    const candidate = { key, prefix, isBlock: false, holders: 0, block: undefined };
    this.#candidates.set(key, candidate);
    return candidate;
  }

  /** Finds the block of an endpoint's address anew. */
  #place(candidate: Candidate): void {
    const block = this.#blockOf(candidate.prefix);
    candidate.block = block;
    block?.members.add(candidate);
    if (block === undefined) this.#outside.add(candidate);
    else this.#outside.delete(candidate);
    this.#settle(candidate);
  }

  #blockOf(prefix: Prefix): Block | undefined {
    for (const length of this.#blockLengths[prefix.family].keys()) {
      if (length >= prefix.length) continue;
      const block = this.#blocks.get(formatPrefix(prefixOf(networkAddress(prefix), length)));
      if (block !== undefined) return block;
    }
    return undefined;
  }

  #settle(candidate: Candidate): void {
    const { key, prefix, isBlock, holders, block } = candidate;
    const isWanted = isBlock || (holders > 0 && block === undefined);
    const isInstalled = isWanted && this.#options.routes.isInstalled(prefix);
    if (isWanted && !isInstalled) this.#unsettled.add(candidate);
    else this.#unsettled.delete(candidate);
    if (isInstalled && this.#options.mayExport(prefix)) this.#originate(candidate);
    else this.#withdraw(candidate);
    if (!isBlock && holders === 0) this.#candidates.delete(key);
  }

  #originate(candidate: Candidate): void {
    const { key, prefix } = candidate;
    const link = this.#options.routes.linkTo(prefix);
    const present = this.#originated.get(key);
    if (this.#speaker === undefined || (present !== undefined && present.link === link)) return;
    this.#speaker.originate(prefix, {}, link);
    this.#originated.set(key, { prefix, link });
    if (present !== undefined) this.#forgetLink(candidate, present.link);
    if (link === undefined) return;
    const same = this.#byLink.get(link);
    if (same === undefined) this.#byLink.set(link, new Set([candidate]));
    else same.add(candidate);
  }

  #withdraw(candidate: Candidate): void {
    const present = this.#originated.get(candidate.key);
    if (present === undefined) return;
    this.#speaker?.withdraw(candidate.prefix);
    this.#originated.delete(candidate.key);
    this.#forgetLink(candidate, present.link);
  }

  #forgetLink(candidate: Candidate, link: string | undefined): void {
    if (link === undefined) return;
    const same = this.#byLink.get(link);
    same?.delete(candidate);
    if (same?.size === 0) this.#byLink.delete(link);
  }
}

// A block of a single address is that endpoint's own route; it has no blackhole (as in Calico).
function hasBlackhole({ isBlock, prefix }: Candidate): boolean {
  return isBlock && prefix.length < addressBits(prefix.family);
}

/**
 * What this node advertises: its confirmed blocks, and addresses of endpoints outside them, each only while the kernel can forward it
 * (its blackhole or endpoint route is installed).
 */
import type { Speaker } from '../../../bgp/speaker.ts';
import type { FibProgrammer } from '../../../fib/programmer.ts';
import { viewOfPrefix } from '../../../fib/routes/inspect.ts';
import { type Address, addressBits } from '../../net/address.ts';
import { formatPrefix, hostPrefix, type Prefix, prefixContains } from '../../net/prefix.ts';

export interface OriginatorOptions {
  readonly fib: FibProgrammer;
  /** confirmed blocks of this node */
  readonly blocks: () => readonly Prefix[];
  /** addresses of endpoints that are up */
  readonly endpoints: () => readonly Address[];
  /** whether the pool that holds the prefix may be advertised (IPPool.spec.disableBGPExport) */
  readonly mayExport: (prefix: Prefix) => boolean;
}

/** Keeps blackholes, originated routes and the wish in step. */
export class Originator {
  readonly #options: OriginatorOptions;
  /** with the link that each leads to */
  readonly #originated = new Map<string, { readonly prefix: Prefix; readonly link: string | undefined }>();
  readonly #blackholes = new Map<string, Prefix>();
  #speaker: Speaker | undefined;

  constructor(options: OriginatorOptions) {
    this.#options = options;
  }

  /** A new speaker (or none): everything is originated on it anew. */
  attach(speaker: Speaker | undefined): void {
    this.#speaker = speaker;
    this.#originated.clear();
    this.update();
  }

  /** Prefixes that are advertised now. */
  get originated(): readonly Prefix[] {
    return [...this.#originated.values()].map(({ prefix }) => prefix);
  }

  /** Whether every block has its route in the kernel, so that nothing of the initial table is missing. */
  get isComplete(): boolean {
    return [...this.#blackholes.values()].every((block) => this.#options.fib.isInstalled(block));
  }

  /** Compares wish and present; cheap when nothing changed. */
  update(): void {
    const blocks = this.#options.blocks();
    this.#setBlackholes(blocks);
    const wanted = new Map<string, Prefix>();
    const offer = (prefix: Prefix): void => {
      if (this.#options.mayExport(prefix) && this.#options.fib.isInstalled(prefix))
        wanted.set(formatPrefix(prefix), prefix);
    };
    for (const block of blocks) offer(block);
    for (const address of this.#options.endpoints()) {
      const prefix = hostPrefix(address);
      const inside = blocks.some((block) => block.length < prefix.length && prefixContains(block, prefix));
      if (!inside) offer(prefix);
    }
    const speaker = this.#speaker;
    if (speaker === undefined) return;
    for (const [key, { prefix }] of this.#originated) {
      if (wanted.has(key)) continue;
      speaker.withdraw(prefix);
      this.#originated.delete(key);
    }
    for (const [key, prefix] of wanted) {
      const link = this.#linkOf(prefix);
      const present = this.#originated.get(key);
      if (present !== undefined && present.link === link) continue;
      speaker.originate(prefix, {}, link);
      this.#originated.set(key, { prefix, link });
    }
  }

  /** The container's link on this host that an address of its own leads to. A block leads nowhere: it is a blackhole (as in Calico). */
  #linkOf(prefix: Prefix): string | undefined {
    if (prefix.length < addressBits(prefix.family)) return undefined;
    const { routes, kernel } = this.#options.fib;
    const view = viewOfPrefix(routes, prefix);
    const [hop] = view?.source === 'endpoint' ? (view.desired?.nextHops ?? []) : [];
    return hop && kernel.links.get(hop.ifindex)?.name;
  }

  // A block of a single address is that endpoint's own route; it has no blackhole (as in Calico).
  #setBlackholes(blocks: readonly Prefix[]): void {
    const { routes } = this.#options.fib;
    const wanted = new Map(
      blocks
        .filter(({ family, length }) => length < addressBits(family))
        .map((block) => [formatPrefix(block), block]),
    );
    for (const [key, block] of this.#blackholes) {
      if (wanted.has(key)) continue;
      routes.removeRoute(block, 'block');
      this.#blackholes.delete(key);
    }
    for (const [key, block] of wanted) {
      if (this.#blackholes.has(key)) continue;
      routes.setRoute(block, 'block', { kind: 'blackhole', nextHops: [] });
      this.#blackholes.set(key, block);
    }
  }
}

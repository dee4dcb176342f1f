/**
 * The host's links, for a speaker alone: from the routing side where there is one (`--fib`), else followed from the first peer on that needs it, and
 * until then looked at when a plan is made.
 */
import type { HostLinks } from '../../bgp/speaker/link-guard.ts';
import type { LinkTable } from '../../fib/routes/link-table.ts';
import type { LinkWatch } from '../../fib/routes/link-watch.ts';
import { ConnectedSubnets, subnetsOf } from '../agent/bgp/connected-subnets.ts';
import { KernelLinks } from '../agent/bgp/host-links.ts';
import type { Log } from '../agent/log.ts';
import { formatPrefix, type Prefix } from '../net/prefix.ts';
import type { HostView } from './host.ts';

/** Links of containers on this host, whose addresses are no subnets of the host. */
const CONTAINER_LINKS = 'oci';

/** Owns the link watch, where nobody else has one. */
export class SpeakLinks implements HostLinks {
  readonly #log: Log;
  readonly #subnets = new ConnectedSubnets();
  readonly #listeners = new Set<(name: string) => void>();
  #table: LinkTable | undefined;
  #states: KernelLinks | undefined;
  #watch: LinkWatch | undefined;
  #onSubnets: () => void = () => {};
  /** what the view that was given last was made of */
  #viewed: string | undefined;
  #failed = false;

  /** `table`: of somebody who follows the links. */
  constructor(log: Log, table: LinkTable | undefined) {
    this.#log = log;
    if (table !== undefined) this.#attach(table);
  }

  /** From now on the links are followed; undefined, and told once, where the kernel cannot be asked. */
  async follow(): Promise<LinkTable | undefined> {
    if (this.#table !== undefined || this.#failed) return this.#table;
    try {
      const { LinkWatch } = await import('../../fib/routes/link-watch.ts');
      this.#watch = LinkWatch.open({
        onError: (error) => this.#log.error({ error }, 'cannot read the links of this host'),
      });
      this.#attach(this.#watch.links);
    } catch (error) {
      this.#failed = true;
      this.#log.error(
        { error },
        'cannot follow the links of this host: sessions last until their hold time when one goes',
      );
    }
    return this.#table;
  }

  get isFollowing(): boolean {
    return this.#table !== undefined;
  }

  /** What the links say of the host; nothing where they are not followed. `isNeeded`: whether a peer is in a subnet. */
  view(isNeeded: (subnet: Prefix) => boolean): Partial<HostView> {
    if (this.#table === undefined) return {};
    this.#viewed = this.#places();
    this.#subnets.update(this.#table.all(), CONTAINER_LINKS, isNeeded);
    return {
      connected: this.#subnets.prefixes,
      interfaceTo: (address) => this.#subnets.linkTo(address),
      onlyLinkTo: (address) => this.#subnets.onlyLinkTo(address),
    };
  }

  /** Calls when `view` would say something else than when it was asked last, at once if so already. */
  onSubnets(listener: () => void): void {
    this.#onSubnets = listener;
    this.#compare();
  }

  stateOf(name: string): ReturnType<HostLinks['stateOf']> {
    return this.#states?.stateOf(name) ?? 'operational';
  }

  onChange(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#watch?.close();
  }

  #attach(table: LinkTable): void {
    this.#table = table;
    this.#states = new KernelLinks(table);
    this.#states.onChange((name) => {
      for (const listener of this.#listeners) listener(name);
    });
    table.onChange(() => this.#compare());
  }

  #compare(): void {
    if (this.#viewed !== undefined && this.#viewed !== this.#places()) this.#onSubnets();
  }

  /** Where the host is connected: changes when a plan may. */
  #places(): string {
    const links = this.#table?.all() ?? [];
    return subnetsOf(links, CONTAINER_LINKS)
      .map(({ link, subnet }) => `${link} ${formatPrefix(subnet)}`)
      .join();
  }
}

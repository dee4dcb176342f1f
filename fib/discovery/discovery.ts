/**
 * Discovery of the neighbours on links with unnumbered BGP peers, as FRR does it for `neighbor eth0 interface`: router advertisements both ways. On
 * top of that an echo request to all nodes and the kernel's neighbour entries, announced over netlink, since BIRD and others advertise nothing.
 * These alone would not do: FRR waits for our advertisement before it says a word.
 */
import type { Address } from '../../src/net/address.ts';
import type { Link, LinkTable } from '../routes/link-table.ts';
import { type Discovered, LinkDiscovery } from './link-discovery.ts';
import { NeighbourWatch } from './neighbour-watch.ts';

export type { Discovered, WaitingReason } from './link-discovery.ts';

export interface NeighbourDiscoveryOptions {
  /** the interfaces of the host, kept current by their owner */
  readonly links: Pick<LinkTable, 'byName' | 'onChange'>;
  /** path of the network namespace; default: the one we are in. `prepareNamespaces` must have been awaited */
  readonly netns?: string;
  /** what `neighbourOn` answers for some interface may have changed; never called during a call to this */
  readonly onChange: () => void;
  readonly onError: (error: unknown, what: string) => void;
  /** for tests: 0 (inclusive) to 1 (exclusive) */
  readonly random?: () => number;
}

const UNWATCHED: Discovered = { found: false, why: 'no-such-interface', rivals: [] };

/** The owner of discovery on any number of links. Without any it holds no socket. */
export class NeighbourDiscovery {
  readonly #options: NeighbourDiscoveryOptions;
  readonly #links = new Map<string, LinkDiscovery>();
  readonly #stopListening: () => void;
  #neighbours: NeighbourWatch | undefined;
  #announcing: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(options: NeighbourDiscoveryOptions) {
    this.#options = options;
    this.#stopListening = options.links.onChange(({ before, after }) => this.#onLink(before, after));
  }

  /** Makes these the interfaces on which neighbours are looked for. */
  setInterfaces(names: Iterable<string>): void {
    if (this.#closed) return;
    const wanted = new Set(names);
    for (const [name, link] of this.#links) {
      if (wanted.has(name)) continue;
      link.close();
      this.#links.delete(name);
    }
    for (const name of wanted) {
      if (this.#links.has(name)) continue;
      const link = new LinkDiscovery(name, {
        netns: this.#options.netns,
        neighbours: () => this.#watch(),
        random: this.#options.random ?? Math.random,
        onChange: () => this.#announce(),
        onError: this.#options.onError,
      });
      this.#links.set(name, link);
      link.refresh(this.#options.links.byName(name));
    }
    if (this.#links.size > 0) return;
    this.#neighbours?.close();
    this.#neighbours = undefined;
  }

  /** Who is on an interface. */
  neighbourOn(name: string): Discovered {
    return this.#links.get(name)?.discovered ?? UNWATCHED;
  }

  close(): void {
    this.setInterfaces([]);
    this.#closed = true;
    this.#stopListening();
    clearImmediate(this.#announcing);
  }

  #watch(): NeighbourWatch {
    this.#neighbours ??= new NeighbourWatch(
      (ifindex) => this.#byIndex(ifindex) !== undefined,
      {
        neighbour: (ifindex: number, address: Address, isThere: boolean) =>
          this.#byIndex(ifindex)?.neighbour(address, isThere),
        overrun: () => this.#readAgain(),
      },
      this.#options.netns,
    );
    return this.#neighbours;
  }

  #readAgain(): void {
    for (const { ifindex, name } of this.#links.values()) {
      if (ifindex === undefined) continue;
      try {
        this.#neighbours?.read(ifindex);
      } catch (error) {
        this.#options.onError(error, `read the neighbours on ${name}`);
      }
    }
  }

  #byIndex(ifindex: number): LinkDiscovery | undefined {
    for (const link of this.#links.values()) if (link.ifindex === ifindex) return link;
    return undefined;
  }

  #onLink(before: Link | undefined, after: Link | undefined): void {
    for (const name of new Set([before?.name, after?.name])) {
      if (name !== undefined) this.#links.get(name)?.refresh(this.#options.links.byName(name));
    }
  }

  /** In a turn of its own: whoever is told asks at once for other interfaces. */
  #announce(): void {
    this.#announcing ??= setImmediate(() => {
      this.#announcing = undefined;
      this.#options.onChange();
    });
  }
}

/**
 * Whoever is on the links of unnumbered peers, for a speaker alone. What it takes of the kernel's library is loaded with the first such peer; the
 * sockets need CAP_NET_RAW.
 */
import type { Discovered, NeighbourDiscovery } from '../../fib/discovery/discovery.ts';
import type { KernelWatch } from '../../fib/routes/kernel-watch.ts';
import type { LinkTable } from '../../fib/routes/link-table.ts';
import type { Log } from '../agent/log.ts';

const UNKNOWN: Discovered = { found: false, why: 'failed', rivals: [] };

/** Owns discovery, and where nobody else follows the kernel's links, that too. */
export class SpeakNeighbours {
  readonly #log: Log;
  readonly #links: LinkTable | undefined;
  readonly #onChange: () => void;
  #discovery: NeighbourDiscovery | undefined;
  #kernel: KernelWatch | undefined;

  /** `links`: those of somebody who follows them; `onChange`: `neighbourOn` may answer something else now. */
  constructor(log: Log, links: LinkTable | undefined, onChange: () => void) {
    this.#log = log;
    this.#links = links;
    this.#onChange = onChange;
  }

  /** Makes these the interfaces on which neighbours are looked for. Where the kernel cannot be followed nobody is found, and the log says why. */
  async setInterfaces(names: readonly string[]): Promise<void> {
    try {
      if (this.#discovery === undefined && names.length > 0) this.#discovery = await this.#open();
    } catch (error) {
      this.#kernel?.close();
      this.#kernel = undefined;
      this.#log.error({ error }, 'cannot follow the links of unnumbered peers');
    }
    this.#discovery?.setInterfaces(names);
  }

  /** Who is on an interface. */
  readonly neighbourOn = (name: string): Discovered => this.#discovery?.neighbourOn(name) ?? UNKNOWN;

  close(): void {
    this.#discovery?.close();
    this.#kernel?.close();
  }

  async #open(): Promise<NeighbourDiscovery> {
    const { NeighbourDiscovery } = await import('../../fib/discovery/discovery.ts');
    return new NeighbourDiscovery({
      links: this.#links ?? (await this.#followLinks()),
      onChange: this.#onChange,
      onError: (error, what) => this.#log.error({ error }, `cannot ${what}`),
    });
  }

  async #followLinks(): Promise<LinkTable> {
    const { KernelWatch } = await import('../../fib/routes/kernel-watch.ts');
    const kernel = KernelWatch.open({
      onError: (error) => this.#log.error({ error }, 'cannot read the kernel'),
    });
    this.#kernel = kernel;
    await kernel.start();
    return kernel.links;
  }
}

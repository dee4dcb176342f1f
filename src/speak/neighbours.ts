/**
 * Whoever is on the links of unnumbered peers, for a speaker alone. What it takes is loaded with the first such peer; the sockets need
 * CAP_NET_RAW.
 */
import type { Discovered, NeighbourDiscovery } from '../../fib/discovery/discovery.ts';
import type { Log } from '../agent/log.ts';
import type { SpeakLinks } from './links.ts';

const UNKNOWN: Discovered = { found: false, why: 'failed', rivals: [] };

/** Owns discovery. */
export class SpeakNeighbours {
  readonly #log: Log;
  readonly #links: SpeakLinks;
  readonly #onChange: () => void;
  #discovery: NeighbourDiscovery | undefined;

  /** `onChange`: `neighbourOn` may answer something else now. */
  constructor(log: Log, links: SpeakLinks, onChange: () => void) {
    this.#log = log;
    this.#links = links;
    this.#onChange = onChange;
  }

  /** Makes these the interfaces on which neighbours are looked for. Where the kernel cannot be followed nobody is found, and the log says why. */
  async setInterfaces(names: readonly string[]): Promise<void> {
    try {
      if (this.#discovery === undefined && names.length > 0) this.#discovery = await this.#open();
    } catch (error) {
      this.#log.error({ error }, 'cannot follow the links of unnumbered peers');
    }
    this.#discovery?.setInterfaces(names);
  }

  /** Who is on an interface. */
  readonly neighbourOn = (name: string): Discovered => this.#discovery?.neighbourOn(name) ?? UNKNOWN;

  close(): void {
    this.#discovery?.close();
  }

  async #open(): Promise<NeighbourDiscovery | undefined> {
    const links = await this.#links.follow();
    if (links === undefined) return undefined;
    const { NeighbourDiscovery } = await import('../../fib/discovery/discovery.ts');
    return new NeighbourDiscovery({
      links,
      onChange: this.#onChange,
      onError: (error, what) => this.#log.error({ error }, `cannot ${what}`),
    });
  }
}

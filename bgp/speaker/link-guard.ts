/**
 * The links under single-hop sessions (fast external failover, see ../session/cells-link.ts): which peer depends on which, and what its session
 * has been told. Who follows the kernel tells of changes; nothing is asked for in between.
 */
import type { PeerConfig } from '../types.ts';

/** How a link of the host is. `no-carrier`: administratively up, but nothing can go over it; `absent`: there is none of the name. */
export type LinkState = 'operational' | 'no-carrier' | 'down' | 'absent';

/** The links of the host, kept current by their owner. */
export interface HostLinks {
  stateOf(name: string): LinkState;
  /** Calls `listener` with the name of each link whose state may have changed, until the returned function is called. */
  onChange(listener: (name: string) => void): () => void;
}

export interface LinkGuardOptions {
  /** undefined: nobody follows the links, and all count as operational */
  readonly links: HostLinks | undefined;
  /** what keeps a peer's link from carrying anything; undefined: nothing any more */
  readonly onState: (peer: string, problem: string | undefined) => void;
}

interface Guarded {
  readonly link: string;
  /** as told */
  problem: string | undefined;
}

const FAULTS: Readonly<Record<Exclude<LinkState, 'operational'>, string>> = {
  'no-carrier': 'no carrier',
  down: 'administratively down',
  absent: 'there is no such link',
};

export class LinkGuard {
  readonly #options: LinkGuardOptions;
  readonly #guarded = new Map<string, Guarded>();
  readonly #peersOf = new Map<string, Set<string>>();
  readonly #stopListening: (() => void) | undefined;

  constructor(options: LinkGuardOptions) {
    this.#options = options;
    this.#stopListening = options.links?.onChange((name) => this.#check(name));
  }

  /** Makes the peer depend on the link that its configuration names, or on none, and tells at once where that makes a difference. */
  apply({ name, failoverLink: link }: PeerConfig): void {
    if (this.#options.links === undefined) return;
    const before = this.#guarded.get(name);
    if (before?.link === link) return;
    this.remove(name);
    if (link !== undefined) {
      this.#guarded.set(name, { link, problem: before?.problem });
      const peers = this.#peersOf.get(link) ?? new Set();
      this.#peersOf.set(link, peers.add(name));
      this.#tell(name, this.#problemOf(link));
    } else if (before?.problem !== undefined) this.#options.onState(name, undefined);
  }

  /** The peer is gone, or depends on no link any more. */
  remove(name: string): void {
    const guarded = this.#guarded.get(name);
    if (guarded === undefined) return;
    this.#guarded.delete(name);
    const peers = this.#peersOf.get(guarded.link);
    peers?.delete(name);
    if (peers?.size === 0) this.#peersOf.delete(guarded.link);
  }

  /** Nothing is told any more. */
  close(): void {
    this.#stopListening?.();
  }

  #check(link: string): void {
    const peers = this.#peersOf.get(link);
    if (peers === undefined) return;
    const problem = this.#problemOf(link);
    // Whoever is told may take peers out.
    for (const peer of [...peers]) this.#tell(peer, problem);
  }

  #tell(peer: string, problem: string | undefined): void {
    const guarded = this.#guarded.get(peer);
    if (guarded === undefined || guarded.problem === problem) return;
    guarded.problem = problem;
    this.#options.onState(peer, problem);
  }

  #problemOf(link: string): string | undefined {
    const state = this.#options.links?.stateOf(link) ?? 'operational';
    return state === 'operational' ? undefined : `link ${link} is down: ${FAULTS[state]}`;
  }
}

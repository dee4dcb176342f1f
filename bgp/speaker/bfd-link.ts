/**
 * The BFD sessions of a speaker's peers. BFD itself is loaded with the first peer that asks for it. A session that was up and goes down for any
 * reason but the peer's own wish is told of; one that never comes up (the peer has no BFD) holds nothing up.
 */

import type { BfdState } from '../bfd/packet.ts';
import type { BfdHandle, BfdSessionConfig, BfdStateChange, BfdStatus } from '../bfd/types.ts';
import type { PeerConfig } from '../types.ts';

/** What is used of BFD; BfdService in life. */
export interface BfdSessions {
  addSession(config: BfdSessionConfig, onState: (change: BfdStateChange) => void): BfdHandle;
  close(): Promise<void>;
}

export type BfdLoader = (warn: (message: string) => void) => Promise<BfdSessions>;

export interface BfdLinkOptions {
  /** default: BfdService */
  readonly load?: BfdLoader | undefined;
  readonly warn: (message: string) => void;
  readonly onState: (peer: string, change: BfdStateChange) => void;
}

interface Watched {
  config: BfdSessionConfig;
  /** undefined until BFD is loaded */
  handle: BfdHandle | undefined;
}

/** The real thing, with its thread and sockets. */
export const loadBfd: BfdLoader = async (warn) => {
  const { BfdService } = await import('../bfd/service.ts');
  return new BfdService({ warn });
};

export class BfdLink {
  readonly #options: BfdLinkOptions;
  readonly #watched = new Map<string, Watched>();
  #loading: Promise<void> | undefined;
  #sessions: BfdSessions | undefined;
  #closed = false;

  constructor(options: BfdLinkOptions) {
    this.#options = options;
  }

  /** Makes the peer's BFD session what its configuration says: a new one, other timers under it, or none. */
  apply(peer: PeerConfig): void {
    const wanted = sessionConfig(peer);
    const existing = this.#watched.get(peer.name);
    if (wanted === undefined) {
      this.remove(peer.name);
      return;
    }
    if (existing !== undefined && placeOf(existing.config) === placeOf(wanted)) {
      if (JSON.stringify(existing.config) === JSON.stringify(wanted)) return;
      existing.config = wanted;
      existing.handle?.update(wanted);
      return;
    }
    this.remove(peer.name);
    this.#watched.set(peer.name, { config: wanted, handle: undefined });
    if (this.#sessions !== undefined) this.#begin(peer.name);
    else this.#loading ??= this.#load();
  }

  /** Ends the peer's session, if it has one. */
  remove(peer: string): void {
    this.#watched.get(peer)?.handle?.remove();
    this.#watched.delete(peer);
  }

  /** What the BGP session need know of it: a BFD session that there is not is down. */
  stateOf(peer: string): 'up' | 'down' | 'admin-down' {
    const status = this.status(peer);
    return status === undefined ? 'down' : bfdStateOf(status.state, status.remote?.state);
  }

  status(peer: string): BfdStatus | undefined {
    return this.#watched.get(peer)?.handle?.status();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watched.clear();
    await this.#sessions?.close();
  }

  async #load(): Promise<void> {
    const { load = loadBfd, warn } = this.#options;
    try {
      this.#sessions = await load(warn);
    } catch (error) {
      warn(`BFD cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
      this.#loading = undefined;
      return;
    }
    if (this.#closed) {
      await this.#sessions.close();
      return;
    }
    for (const name of this.#watched.keys()) this.#begin(name);
  }

  #begin(name: string): void {
    const watched = this.#watched.get(name);
    if (watched === undefined || this.#sessions === undefined) return;
    watched.handle = this.#sessions.addSession(watched.config, (change) => {
      if (this.#watched.get(name) === watched) this.#options.onState(name, change);
    });
  }
}

/** Whether BFD vouches for the peer, does not, or was taken out of service by one of the two sides. */
export function bfdStateOf(state: BfdState, remote: BfdState | undefined): 'up' | 'down' | 'admin-down' {
  if (state === 'Up') return 'up';
  return state === 'AdminDown' || remote === 'AdminDown' ? 'admin-down' : 'down';
}

/** RFC 5882 3.2: a peer that ends BFD on purpose has not failed. */
export function isFailure({ from, to, remoteState }: BfdStateChange): boolean {
  return from === 'Up' && to === 'Down' && remoteState !== 'AdminDown';
}

function sessionConfig(peer: PeerConfig): BfdSessionConfig | undefined {
  const { bfd, address, localAddress, interface: device, adminDown } = peer;
  if (bfd === undefined || adminDown) return undefined;
  const { strict: _, ...timing } = bfd;
  return {
    ...timing,
    peer: address,
    ...(localAddress !== undefined && { local: localAddress }),
    ...(device !== undefined && !bfd.multihop && { interface: device }),
  };
}

/** What a session cannot change without being another one. */
function placeOf({ peer, local, interface: device, multihop, minTtl }: BfdSessionConfig): string {
  return JSON.stringify([[...peer.bytes], local && [...local.bytes], device, multihop, minTtl]);
}

/**
 * Who on a link is the peer. Pure: what was heard goes in, one link-local address comes out. A choice once made stays until there is somebody
 * better: silence alone, a flushed neighbour table or a link that flaps must not end a session that may well survive them.
 */
import { type Address, addressesEqual, formatAddress } from '../../src/net/address.ts';

/** Neighbours remembered on one link: unnumbered peering is for links of two, so more than a few is somebody's mistake. */
const MAX_NEIGHBOURS = 32;

interface Neighbour {
  readonly address: Address;
  /** it advertised itself */
  isRouter: boolean;
  /** nothing says that it is gone */
  isAlive: boolean;
}

/** The neighbours of one link, and which of them is the peer. */
export class NeighbourChoice {
  /** by address text, in the order in which they were heard first since they were last gone */
  readonly #neighbours = new Map<string, Neighbour>();
  #chosen: Neighbour | undefined;

  /** The peer's address; undefined while nobody was heard, or several of whom none is a router. */
  get address(): Address | undefined {
    return this.#chosen?.address;
  }

  /** Whether the peer was heard since the link came up and is not known to be gone. */
  get isAlive(): boolean {
    return this.#chosen?.isAlive ?? false;
  }

  /** The other neighbours that could be the peer: routers if there are any. */
  get rivals(): readonly Address[] {
    return this.#alive()
      .filter((each) => each !== this.#chosen)
      .map(({ address }) => address);
  }

  /** A router advertisement came from this address. Returns whether that is a neighbour not known to be alive before. */
  heardRouter(address: Address): boolean {
    return this.#heard(address, true);
  }

  /** The kernel has a neighbour entry for this address that it believes in. Returns whether it was not known to be alive before. */
  heardNeighbour(address: Address): boolean {
    return this.#heard(address, false);
  }

  /** The kernel asked for this neighbour in vain. */
  failed(address: Address): void {
    const neighbour = this.#neighbours.get(formatAddress(address));
    if (neighbour === undefined) return;
    neighbour.isAlive = false;
    neighbour.isRouter = false;
    if (neighbour !== this.#chosen) this.#neighbours.delete(formatAddress(address));
    this.#choose();
  }

  /** The link is down: whoever is behind it afterwards has to be heard again. */
  linkLost(): void {
    for (const [key, neighbour] of this.#neighbours) {
      neighbour.isAlive = false;
      neighbour.isRouter = false;
      if (neighbour !== this.#chosen) this.#neighbours.delete(key);
    }
  }

  /** The link is gone for good. */
  clear(): void {
    this.#neighbours.clear();
    this.#chosen = undefined;
  }

  #heard(address: Address, isRouter: boolean): boolean {
    const key = formatAddress(address);
    const known = this.#neighbours.get(key);
    const isNews = known === undefined || !known.isAlive;
    if (known === undefined) {
      if (this.#neighbours.size >= MAX_NEIGHBOURS && !this.#makeRoom(isRouter)) return false;
      this.#neighbours.set(key, { address, isRouter, isAlive: true });
    } else {
      known.isAlive = true;
      known.isRouter ||= isRouter;
      if (isNews) {
        this.#neighbours.delete(key);
        this.#neighbours.set(key, known);
      }
    }
    this.#choose();
    return isNews;
  }

  /** A router takes the place of any neighbour that is none. */
  #makeRoom(isRouter: boolean): boolean {
    if (!isRouter) return false;
    for (const [key, neighbour] of this.#neighbours) {
      if (neighbour.isRouter || neighbour === this.#chosen) continue;
      return this.#neighbours.delete(key);
    }
    return false;
  }

  // A router takes over from a neighbour that is none: a host that happened to ask first. Nobody takes over from a router that is alive.
  #choose(): void {
    const chosen = this.#chosen;
    const alive = this.#alive();
    if (chosen?.isAlive && (chosen.isRouter || !alive.some(({ isRouter }) => isRouter))) return;
    const [first] = alive;
    if (first === undefined || (!first.isRouter && alive.length > 1)) return;
    this.#chosen = first;
    if (chosen !== undefined && !chosen.isAlive && !addressesEqual(chosen.address, first.address)) {
      this.#neighbours.delete(formatAddress(chosen.address));
    }
  }

  /** Those that count: routers, or where there is none, all. */
  #alive(): Neighbour[] {
    const alive = [...this.#neighbours.values()].filter(({ isAlive }) => isAlive);
    const routers = alive.filter(({ isRouter }) => isRouter);
    return routers.length > 0 ? routers : alive;
  }
}

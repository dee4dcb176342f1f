/**
 * What a peer's session means for its routes: they come with it, go or become stale when it ends, and run out. One for each peer, over all
 * its sessions.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { TakenMessages } from '../rib/plain-input.ts';
import type { SessionEvent } from '../session/events.ts';
import type { Negotiated } from '../session/negotiate.ts';
import type { PeerConfig } from '../types.ts';
import { encodeRouteRefresh } from '../wire/messages.ts';
import { AFI, REFRESH_SUBTYPE, SAFI_UNICAST } from '../wire/registry.ts';
import type { PeerConnection } from './connection.ts';
import { type Delivery, PeerInput } from './peer-input.ts';
import type { PeerSurroundings, PeerTotals } from './peer-surroundings.ts';

/** The peer whose routes they are. */
export interface RoutesPeer {
  readonly ribId: number;
  readonly config: PeerConfig;
  readonly totals: PeerTotals;
  /** the terms of the session that is up */
  readonly negotiated: Negotiated | undefined;
  /** its OPEN told which of several AS numbers it has */
  learnAs(as: number): void;
}

export class PeerRoutes {
  /** epoch milliseconds; undefined while no session is up */
  establishedAt: number | undefined;
  /** epoch milliseconds until which the routes of a peer that is gone are kept */
  helperUntil: number | undefined;
  /** when the present or last session came up, on the clock's scale */
  upSince = 0;
  /** whether a session was up since the peer was added */
  wasUp = false;
  readonly #peer: RoutesPeer;
  readonly #around: PeerSurroundings;
  readonly #input: PeerInput;
  #connection: PeerConnection | undefined;

  constructor(peer: RoutesPeer, around: PeerSurroundings, dispatch: (event: SessionEvent) => void) {
    this.#peer = peer;
    this.#around = around;
    const routes = this;
    this.#input = new PeerInput(
      {
        ribId: peer.ribId,
        get config() {
          return peer.config;
        },
        get negotiated() {
          return peer.negotiated;
        },
        get upSince() {
          return routes.upSince;
        },
      },
      around,
      dispatch,
    );
  }

  /** The connection of the session that is up. */
  get connection(): PeerConnection | undefined {
    return this.#connection;
  }

  /** Families whose End-of-RIB came in the present session. */
  get endOfRibReceived(): ReadonlySet<Family> {
    return this.#input.endOfRib;
  }

  configChanged(): void {
    this.#input.configChanged();
  }

  /** Takes in a message that the session machine let through. */
  deliver(delivery: Delivery): void {
    this.#input.deliver(delivery);
  }

  /** The same of the plain UPDATEs that `octets[start..end)` begins with, those that begin before `start + most`. */
  takePlain(octets: Uint8Array, start: number, end: number, most: number, at: number): TakenMessages {
    return this.#input.takePlain(octets, start, end, most, at);
  }

  /** Writes one buffer of UPDATEs if there are any and the peer keeps up. */
  pump(): boolean {
    return this.#connection?.pump(this.#pull) ?? false;
  }

  readonly #pull = (target: Uint8Array, offset: number): number =>
    this.#around.rib.fill(this.#peer.ribId, target, offset);

  /** Asks the peer to send a family again (RFC 2918). False when it is not up or does not know how. */
  requestRefresh(family: Family): boolean {
    const { negotiated } = this.#peer;
    if (this.#connection === undefined || negotiated === undefined) return false;
    if (!negotiated.routeRefresh || !negotiated.context.families[family]) return false;
    this.#connection.send(encodeRouteRefresh(AFI[family], SAFI_UNICAST, REFRESH_SUBTYPE.request));
    return true;
  }

  sessionUp(connection: PeerConnection, negotiated: Negotiated): void {
    const { clock, rib, loop, log, addressesOf } = this.#around;
    const { ribId, config } = this.#peer;
    const { localAddress, remoteAddress } = connection.stream.channel;
    const { peerConnected, connectedSubnets, ...addresses } = addressesOf(
      localAddress,
      remoteAddress,
      config.interface,
    );
    if (negotiated.context.extendedMessage) connection.stream.allowExtendedMessages();
    this.#connection = connection;
    this.wasUp = true;
    this.upSince = clock.now();
    this.#input.stop();
    this.establishedAt = clock.wallNow();
    this.#peer.totals.establishedCount += 1;
    if (negotiated.context.peerAs !== config.peerAs) this.#peer.learnAs(negotiated.context.peerAs);
    rib.peerUp(ribId, {
      routerId: negotiated.peerRouterId,
      localAddress: addresses,
      peerConnected,
      connectedSubnets,
      context: negotiated.context,
      addPathSend: negotiated.addPathSend,
      maxMessage: negotiated.maxMessage,
      longLived: negotiated.longLived !== undefined,
      enhancedRefresh: negotiated.enhancedRouteRefresh,
    });
    log({
      type: 'session-up',
      peer: config.name,
      families: FAMILIES.filter((family) => negotiated.context.families[family]),
      holdTimeSec: negotiated.holdTimeSec,
      peerRouterId: negotiated.peerRouterId,
    });
    loop.request();
  }

  /** The routes of `keepStale` stay as stale, all others go. */
  sessionDown(keepStale: readonly Family[], reason: string): void {
    this.stop();
    this.establishedAt = undefined;
    this.#peer.totals.droppedCount += 1;
    this.#around.rib.peerDown(this.#peer.ribId, keepStale);
    this.#around.log({ type: 'session-down', peer: this.#peer.config.name, reason, keptStale: keepStale });
  }

  /** Nothing is sent or awaited any more; the RIB stays as it is. */
  stop(): void {
    this.#connection = undefined;
    this.#input.stop();
  }

  purgeStale(families: readonly Family[]): void {
    this.helperUntil = undefined;
    this.#around.rib.purgeStale(this.#peer.ribId, families);
    this.#around.log({ type: 'stale-purged', peer: this.#peer.config.name, families });
    this.#around.onProgress();
  }

  /** The stale routes of these families are used only where there is nothing else (RFC 9494 4.2). */
  beginLongLived(families: readonly Family[]): void {
    this.helperUntil = undefined;
    this.#around.rib.beginLongLived(this.#peer.ribId, families);
    this.#around.log({ type: 'long-lived-stale', peer: this.#peer.config.name, families });
  }
}

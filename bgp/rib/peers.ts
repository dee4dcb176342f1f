/** What the RIB knows of each peer: columns for the decision process, and the state of its session. */
import {
  LOCAL_PEER,
  PEERS_ADDRESS_RANK,
  PEERS_CLIENT,
  PEERS_EXTERNAL,
  PEERS_FIELDS,
  PEERS_ROUTER_ID,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import { type Address, compareAddresses, type Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import type { PeerConfig } from '../types.ts';
import type { DecodeContext, PerFamily } from '../wire/types.ts';
import type { AddPathOutput } from './add-path-output.ts';
import type { PathSource } from './export-rules.ts';
import type { ImportGroup } from './import-group.ts';
import type { PeerInput } from './peer-input.ts';
import type { PeerOutput } from './peer-output.ts';

export { LOCAL_PEER };

/** A session as the RIB needs it, fixed while the session lasts. */
export interface PeerSession {
  /** the peer's BGP identifier, unsigned 32-bit */
  readonly routerId: number;
  /** our addresses on the link to the peer */
  readonly localAddress: {
    readonly ipv4?: Address;
    readonly ipv6?: Address;
    /** RFC 2545 3: sent beside the global address to peers on the same link */
    readonly linkLocal?: Address;
  };
  /** the peer is one hop away */
  readonly peerConnected: boolean;
  /** the subnet that we share with the peer: enables third-party next hops (RFC 4271 5.1.3) */
  readonly connectedSubnets?: readonly Prefix[];
  readonly context: DecodeContext;
  /** RFC 7911: NLRI sent to the peer carry path identifiers */
  readonly addPathSend: PerFamily<boolean>;
  /** 4096, or 65535 with RFC 8654 */
  readonly maxMessage: number;
  /** RFC 9494: the peer knows what to do with long-lived stale routes */
  readonly longLived?: boolean;
  /** RFC 7313: refreshes are marked at both ends */
  readonly enhancedRefresh?: boolean;
}

/** A peer. Owned by the Rib. */
export interface RibPeer {
  readonly id: number;
  config: PeerConfig;
  importGroup: ImportGroup;
  session: PeerSession | undefined;
  /** going away: the id is free once no record is left */
  removed: boolean;
  readonly input: Readonly<Record<Family, PeerInput>>;
  readonly output: Record<Family, PeerOutput | undefined>;
  /** in place of `output` in a family in which the peer gets several paths to a prefix */
  readonly addPath: Record<Family, AddPathOutput | undefined>;
}

/** peers that there is room for at first */
const FIRST_PEERS = 16;

/** Columns by peer id that the decision process compares. */
export class PeerColumns {
  /** BGP identifier, unsigned */
  routerId: Uint32Array<SharedArrayBuffer>;
  /** 1: eBGP */
  external: Uint8Array<SharedArrayBuffer>;
  /** 1: an iBGP peer that is our client (RFC 4456) */
  client: Uint8Array<SharedArrayBuffer>;
  /** position in the order of the peers' addresses */
  addressRank: Int32Array<SharedArrayBuffer>;
  /** where its block stands for the inner loops (src/core/assembly) */
  readonly address: number;
  readonly #core: Core;
  readonly #block: Int32Array<SharedArrayBuffer>;

  /** `core`: where it is to live. */
  constructor(core: Core) {
    this.#core = core;
    this.routerId = core.uint32(FIRST_PEERS);
    this.external = core.uint8(FIRST_PEERS);
    this.client = core.uint8(FIRST_PEERS);
    this.addressRank = core.int32(FIRST_PEERS);
    this.#block = core.block(PEERS_FIELDS, {});
    this.address = this.#block.byteOffset;
    this.#publish();
  }

  /** The BGP identifier that a peer's OPEN told. */
  setRouterId(peer: number, routerId: number): void {
    this.routerId[peer] = routerId;
  }

  /** How a path of that peer came here. */
  sourceOf(peer: number): PathSource {
    if (peer === LOCAL_PEER) return 'local';
    if (this.external[peer] === 1) return 'ebgp';
    return this.client[peer] === 1 ? 'client' : 'ibgp';
  }

  /** Brings the columns in step with a set of peers. */
  update(peers: Iterable<RibPeer>): void {
    const all = [...peers];
    const needed = Math.max(0, ...all.map((peer) => peer.id)) + 1;
    if (needed > this.routerId.length) {
      const core = this.#core;
      this.routerId = core.moved(this.routerId, core.uint32(2 * needed));
      this.external = core.moved(this.external, core.uint8(2 * needed));
      this.client = core.moved(this.client, core.uint8(2 * needed));
      this.addressRank = core.moved(this.addressRank, core.int32(2 * needed));
      this.#publish();
    }
    all.sort((a, b) => compareAddresses(a.config.address, b.config.address) || a.id - b.id);
    for (const [rank, peer] of all.entries()) {
      this.addressRank[peer.id] = rank + 1;
      this.external[peer.id] = peerKind(peer.config) === 'ebgp' ? 1 : 0;
      this.client[peer.id] = peer.config.routeReflectorClient === true ? 1 : 0;
    }
  }

  #publish(): void {
    const block = this.#block;
    block[PEERS_ROUTER_ID] = this.routerId.byteOffset;
    block[PEERS_EXTERNAL] = this.external.byteOffset;
    block[PEERS_CLIENT] = this.client.byteOffset;
    block[PEERS_ADDRESS_RANK] = this.addressRank.byteOffset;
  }
}

export function peerKind(config: PeerConfig): 'ebgp' | 'ibgp' {
  return config.localAs === config.peerAs ? 'ibgp' : 'ebgp';
}

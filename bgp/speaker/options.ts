/** What a speaker is made with, and how it is told to stop and to reset. */
import type { Address } from '../../src/net/address.ts';
import type { Network } from '../transport/channel.ts';
import type { Clock } from '../transport/clock.ts';
import type { SessionAddresses } from '../transport/host-addresses.ts';
import type { PerFamily } from '../wire/types.ts';
import type { BfdLoader } from './bfd-link.ts';
import type { SpeakerLog } from './events.ts';
import type { HostLinks } from './link-guard.ts';
import type { ListenConfig } from './listeners.ts';

export interface SpeakerOptions {
  /** our BGP identifier, unsigned 32-bit, not 0 */
  readonly routerId: number;
  /** 1..4294967295 */
  readonly localAs: number;
  /** undefined: peers cannot reach us, we only dial */
  readonly listen: ListenConfig | undefined;
  /** whether next hops count as unreachable until `rib.setNextHopState` says otherwise; else all are reachable */
  readonly nextHopTracking: boolean;
  /** RFC 4724 4.1: the families whose routes the kernel still holds from a run before this one, and how long to wait for peers at most */
  readonly gracefulRestart: {
    readonly forwardingPreserved: PerFamily<boolean>;
    readonly deferralSec: number;
  };
  /** equal-cost paths used together, 1..64; default 1 */
  readonly maxPaths?: number;
  /** multipath over paths of other ASes, if as long; default false */
  readonly relaxAsPath?: boolean;
  /** default false */
  readonly alwaysCompareMed?: boolean;
  /** default false */
  readonly compareRouterId?: boolean;
  /** RFC 4456 7: id of the cluster whose reflector we are, unsigned 32-bit; default: the BGP identifier */
  readonly clusterId?: number;
  /** told to every peer: a host name (capability 73) and a software version (75), each up to 64 octets; default: neither */
  readonly identity?: { readonly host?: string; readonly softwareVersion?: string };
  /** the host's links, for peers with a `failoverLink`; default: nobody follows them, and all count as operational */
  readonly links?: HostLinks | undefined;
  readonly log: SpeakerLog;
  /** for tests: time, chance, the network and our addresses on it */
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly network?: Network;
  readonly addressesOf?: (local: Address, peer: Address, interfaceName?: string) => SessionAddresses;
  /** for tests: BFD */
  readonly loadBfd?: BfdLoader;
}

/** How `stop` leaves. */
export type StopMode =
  /** no NOTIFICATION: graceful-restart helpers keep our routes, and the RIB is left as it is */
  | { readonly mode: 'keep-forwarding' }
  /** Cease 6/2 with a text to every peer; all learned routes leave the RIB */
  | { readonly mode: 'shutdown'; readonly text?: string };

/** What `reset` does to a peer. */
export type ResetKind =
  /** Cease 6/4; the session comes back by itself */
  | 'hard'
  /** asks the peer for its routes again (RFC 2918) */
  | 'soft-in'
  /** sends it ours again */
  | 'soft-out';

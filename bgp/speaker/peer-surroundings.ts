/** What the parts of a peer have in common: what surrounds all peers of a speaker, and what is counted for each. */
import type { Rib } from '../rib/rib.ts';
import type { RestartFlags } from '../session/negotiate.ts';
import type { Session } from '../session/state.ts';
import type { Channel, Network } from '../transport/channel.ts';
import type { Clock } from '../transport/clock.ts';
import type { SessionAddresses } from '../transport/host-addresses.ts';
import { MessageCounts } from '../transport/message-counts.ts';
import type { SpeakerLog } from './events.ts';
import type { WorkLoop } from './work-loop.ts';

/** What the peers of a speaker share. */
export interface PeerSurroundings {
  readonly routerId: number;
  readonly clock: Clock;
  /** 0 (inclusive) to 1 (exclusive) */
  readonly random: () => number;
  readonly network: Network;
  readonly rib: Rib;
  readonly loop: WorkLoop;
  readonly log: SpeakerLog;
  readonly addressesOf: (
    local: Channel['localAddress'],
    peer: Channel['remoteAddress'],
    interfaceName?: string,
  ) => SessionAddresses;
  /** what every OPEN tells of this host */
  readonly identity?: { readonly host?: string; readonly softwareVersion?: string } | undefined;
  /** what OPENs that leave now say of our restart */
  readonly restartFlags: () => RestartFlags;
  /** how a peer's BFD session is at this moment */
  readonly bfdOf: (peer: string) => Session['bfd'];
  /** the session came up or went, or sent an End-of-RIB */
  readonly onProgress: () => void;
}

/** Counts over all connections of a peer. */
export interface PeerTotals {
  /** of the connections that are closed */
  readonly received: MessageCounts;
  readonly sent: MessageCounts;
  establishedCount: number;
  droppedCount: number;
  treatAsWithdraw: number;
  attributeDiscards: number;
}

/** Nothing counted yet. */
export function newTotals(): PeerTotals {
  return {
    received: new MessageCounts(),
    sent: new MessageCounts(),
    establishedCount: 0,
    droppedCount: 0,
    treatAsWithdraw: 0,
    attributeDiscards: 0,
  };
}

/** RFC 4271 10: 0.75 to 1 of the time; never less than 1 s of what was a second or more (4.4: at most one KEEPALIVE a second). */
export function jittered(delayMs: number, random: () => number): number {
  const shortened = delayMs * (0.75 + 0.25 * random());
  return delayMs >= 1000 ? Math.max(1000, shortened) : shortened;
}

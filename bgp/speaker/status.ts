/** A peer as people and programs see it, made on request. */
import type { Rib } from '../rib/rib.ts';
import { type ResetRecord, sessionState } from '../session/state.ts';
import type { Clock } from '../transport/clock.ts';
import type { LastReset, PeerStatus } from '../types.ts';
import { capabilityName } from '../wire/capabilities.ts';
import { describeNotification } from '../wire/notification.ts';
import type { Peer } from './peer.ts';

/** Everything there is to know of a peer. */
export function peerStatus(peer: Peer, rib: Rib, clock: Clock): PeerStatus {
  const { config, session, negotiated, connection, totals } = peer;
  const counts = connection?.stream.counts;
  const restart = negotiated?.gracefulRestart;
  const kind = config.localAs === config.peerAs ? 'ibgp' : 'ebgp';
  const policy = (chain: PeerStatus['importPolicy'] | undefined): string =>
    chain ?? (kind === 'ebgp' ? 'missing' : 'none');
  return {
    name: config.name,
    address: config.address,
    peerAs: config.peerAs,
    localAs: config.localAs,
    kind,
    state: sessionState(session),
    since: peer.since,
    ...(peer.establishedAt !== undefined && { establishedAt: peer.establishedAt }),
    ...(negotiated && {
      peerRouterId: negotiated.peerRouterId,
      holdTimeSec: negotiated.holdTimeSec,
      keepaliveTimeSec: negotiated.keepaliveTimeSec,
    }),
    ...(connection && { localAddress: connection.stream.channel.localAddress }),
    capabilitiesSent: negotiated?.sent.map(capabilityName) ?? [],
    capabilitiesReceived: negotiated?.received.map(capabilityName) ?? [],
    families: { ipv4: rib.familyStatus(peer.ribId, 'ipv4'), ipv6: rib.familyStatus(peer.ribId, 'ipv6') },
    counters: {
      messagesReceived: totals.messagesReceived + (counts?.received ?? 0),
      messagesSent: totals.messagesSent + (counts?.sent ?? 0),
      updatesReceived: totals.updatesReceived + (counts?.updatesReceived ?? 0),
      updatesSent: totals.updatesSent + (counts?.updatesSent ?? 0),
      establishedCount: totals.establishedCount,
      droppedCount: totals.droppedCount,
      treatAsWithdraw: totals.treatAsWithdraw,
      attributeDiscards: totals.attributeDiscards,
    },
    ...(session.lastReset && { lastReset: lastReset(session.lastReset, clock) }),
    ...(peer.lastError !== undefined && { lastError: peer.lastError }),
    ...(peer.nextConnectAt !== undefined && { nextConnectAt: peer.nextConnectAt }),
    outputQueued: connection?.stream.queuedOctets ?? 0,
    gracefulRestart: {
      peerCapable: restart !== undefined,
      ...(restart && { peerRestartTimeSec: restart.restartTimeSec }),
      peerFamilies: restart?.families.map(({ family }) => family) ?? [],
      ...(peer.helperUntil !== undefined && { helperUntil: peer.helperUntil }),
    },
    importPolicy: policy(config.importPolicy?.name),
    exportPolicy: policy(config.exportPolicy?.name),
  };
}

function lastReset(record: ResetRecord, clock: Clock): LastReset {
  return {
    at: clock.wallNow() - (clock.now() - record.at),
    direction: record.direction,
    ...(record.error && { error: record.error }),
    text: textOf(record),
  };
}

/** What was found wrong, and what the NOTIFICATION said of it. */
function textOf({ error, reason }: ResetRecord): string {
  if (error === undefined) return reason;
  const decoded = describeNotification(error);
  return decoded === reason ? decoded : `${decoded}: ${reason}`;
}

/** A peer as people and programs see it, made on request. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type {
  PeerCapabilities,
  PeerConnectionStatus,
  PeerTimerName,
  PeerTimers,
  PeerTransport,
  PrefixLimitStatus,
  SessionTerms,
} from '../peer-status.ts';
import type { Rib } from '../rib/rib.ts';
import { FSM_STATES } from '../session/events.ts';
import type { Negotiated } from '../session/negotiate.ts';
import { type Connection, type ResetRecord, type Session, sessionState } from '../session/state.ts';
import type { Clock } from '../transport/clock.ts';
import { MessageCounts } from '../transport/message-counts.ts';
import type { LastReset, PeerConfig, PeerFamilyStatus, PeerStatus } from '../types.ts';
import { capabilityName } from '../wire/capabilities.ts';
import { describeNotification } from '../wire/notification.ts';
import type { PeerConnection } from './connection.ts';
import type { Peer } from './peer.ts';
import { limitedCount } from './prefix-limits.ts';

/** Everything there is to know of a peer. */
export function peerStatus(peer: Peer, rib: Rib, clock: Clock): PeerStatus {
  const { config, session, negotiated, connection, totals } = peer;
  const furthest = furthestConnection(session);
  const open = furthest && peer.connections.get(furthest.id);
  const received = allMessages(peer, 'received');
  const sent = allMessages(peer, 'sent');
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
    localRouterId: session.config.routerId,
    ...(connection && { localAddress: connection.stream.channel.localAddress }),
    ...(furthest && open && { connection: connectionStatus(furthest, open) }),
    transport: transportOf(config, kind),
    timers: timersOf(peer, furthest, open),
    ...(furthest && 'negotiated' in furthest && { terms: termsOf(furthest.negotiated, config) }),
    capabilities: capabilitiesOf(furthest),
    capabilitiesSent: negotiated?.sent.map(capabilityName) ?? [],
    capabilitiesReceived: negotiated?.received.map(capabilityName) ?? [],
    families: { ipv4: familyStatus(peer, rib, 'ipv4'), ipv6: familyStatus(peer, rib, 'ipv6') },
    counters: {
      messagesReceived: received.total,
      messagesSent: sent.total,
      updatesReceived: received.byType.update,
      updatesSent: sent.byType.update,
      establishedCount: totals.establishedCount,
      droppedCount: totals.droppedCount,
      treatAsWithdraw: totals.treatAsWithdraw,
      attributeDiscards: totals.attributeDiscards,
    },
    messages: { received: received.byType, sent: sent.byType },
    lastNotification: peer.connections.lastNotification,
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

/** The established connection, or the one that has come furthest. */
function furthestConnection({ connections }: Session): Connection | undefined {
  const order = (connection: Connection): number => FSM_STATES.indexOf(connection.state);
  return connections.reduce<Connection | undefined>(
    (best, connection) => (best === undefined || order(connection) > order(best) ? connection : best),
    undefined,
  );
}

/** Messages of all connections, closed and open. */
function allMessages({ totals, connections }: Peer, direction: 'received' | 'sent'): MessageCounts {
  const all = new MessageCounts();
  all.addAll(totals[direction]);
  for (const { stream } of connections.all) all.addAll(stream.counts[direction]);
  return all;
}

function connectionStatus(
  { direction }: Connection,
  { stream: { channel } }: PeerConnection,
): PeerConnectionStatus {
  return {
    local: { address: channel.localAddress, port: channel.localPort },
    remote: { address: channel.remoteAddress, port: channel.remotePort },
    direction,
  };
}

function transportOf(config: PeerConfig, kind: PeerStatus['kind']): PeerTransport {
  return {
    port: config.port,
    passive: config.passive,
    ...(config.localAddress && { sourceAddress: config.localAddress }),
    ...(config.interface !== undefined && { interface: config.interface }),
    ttl: config.ttl,
    ...(config.minTtl !== undefined && { minTtl: config.minTtl }),
    md5: config.password !== undefined,
    multihop: kind === 'ibgp' || config.requireConnected !== true,
    bfd: config.bfd !== undefined,
  };
}

const PEER_TIMERS = ['connect-retry', 'idle-hold', 'restart', 'stale', 'long-lived'] as const;
const CONNECTION_TIMERS = ['hold', 'keepalive', 'send-hold'] as const;

function timersOf(
  peer: Peer,
  furthest: Connection | undefined,
  connection: PeerConnection | undefined,
): PeerTimers {
  const { config } = peer;
  const remainingMs: Partial<Record<PeerTimerName, number>> = {};
  const note = (name: PeerTimerName, remaining: number | undefined): void => {
    if (remaining !== undefined) remainingMs[name] = Math.round(remaining);
  };
  for (const name of PEER_TIMERS) note(name, peer.remainingMs(name));
  for (const name of CONNECTION_TIMERS) note(name, connection?.remainingMs(name));
  return {
    configured: {
      holdTimeSec: config.holdTimeSec,
      ...(config.keepaliveTimeSec !== undefined && { keepaliveTimeSec: config.keepaliveTimeSec }),
      connectRetrySec: config.connectRetrySec,
      connectRetryMaxSec: config.connectRetryMaxSec,
    },
    ...(furthest &&
      'negotiated' in furthest && {
        negotiated: {
          holdTimeSec: furthest.negotiated.holdTimeSec,
          keepaliveTimeSec: furthest.negotiated.keepaliveTimeSec,
        },
      }),
    remainingMs,
  };
}

function termsOf({ context, ...terms }: Negotiated, { addPath }: PeerConfig): SessionTerms {
  const addPathSend = FAMILIES.filter((family) => terms.addPathSend[family]);
  return {
    fourOctetAs: context.as4,
    routeRefresh: terms.routeRefresh,
    enhancedRouteRefresh: terms.enhancedRouteRefresh,
    maxMessageOctets: terms.maxMessage,
    extendedNextHop: context.extendedNextHop,
    addPathReceive: FAMILIES.filter((family) => context.addPathReceive[family]),
    addPathSend,
    ...(addPathSend.length > 0 && addPath?.sendMax !== undefined && { addPathSendMax: addPath.sendMax }),
    gracefulNotification: terms.gracefulNotification,
  };
}

function capabilitiesOf(furthest: Connection | undefined): PeerCapabilities {
  return {
    sent: furthest?.sentOpen.capabilities ?? [],
    received: furthest && 'negotiated' in furthest ? furthest.negotiated.received : [],
  };
}

function familyStatus(peer: Peer, rib: Rib, family: Family): PeerFamilyStatus {
  const status = rib.familyStatus(peer.ribId, family);
  const prefixLimit = limitStatus(peer.config, family, status);
  return prefixLimit === undefined ? status : { ...status, prefixLimit };
}

function limitStatus(
  { maxPrefixes }: PeerConfig,
  family: Family,
  counts: PeerFamilyStatus,
): PrefixLimitStatus | undefined {
  const limit = maxPrefixes?.[family];
  return limit && { ...limit, current: limitedCount(limit, counts) };
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

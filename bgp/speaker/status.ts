/** A peer as people and programs see it, made on request. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { BfdStatus } from '../bfd/types.ts';
import type {
  MessageTypeCounts,
  PeerCapabilities,
  PeerConnectionStatus,
  PeerStanding,
  PeerTimerName,
  PeerTimers,
  PeerTransport,
  PrefixLimitStatus,
  SessionTerms,
} from '../peer-status.ts';
import type { Rib } from '../rib/rib.ts';
import { type ConnectionId, FSM_STATES } from '../session/events.ts';
import type { Negotiated, SessionConfig } from '../session/negotiate.ts';
import { type Connection, type ResetRecord, type Session, sessionState } from '../session/state.ts';
import type { Clock } from '../transport/clock.ts';
import type { LastReset, PeerConfig, PeerFamilyStatus, PeerStatus } from '../types.ts';
import { capabilityName } from '../wire/capabilities.ts';
import { describeNotification } from '../wire/notification.ts';
import type { PeerConnection } from './connection.ts';
import type { Peer } from './peer.ts';
import { limitedCount } from './prefix-limits.ts';

/** What others know of a peer; undefined: nothing. */
export interface PeerFindings {
  /** the group that it came by itself from */
  readonly dynamic: string | undefined;
  readonly bfd: BfdStatus | undefined;
  /** what keeps it from reaching us; told in place of its last error */
  readonly problem: string | undefined;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Everything there is to know of a peer. Asked for all of a thousand peers every second it should cost little: what stands is made once, and the
 * rest without intermediate objects.
 */
export function peerStatus(peer: Peer, rib: Rib, clock: Clock, findings: PeerFindings): PeerStatus {
  const { session, totals } = peer;
  const furthest = furthestConnection(session);
  const open = furthest && peer.connections.get(furthest.id);
  const standing = standingOf(peer, furthest, open);
  const received = allMessages(peer, 'received');
  const sent = allMessages(peer, 'sent');
  const status: Writable<PeerStatus> = {
    ...standing,
    standing,
    state: sessionState(session),
    since: peer.since,
    timers: timersOf(peer, furthest, open),
    families: { ipv4: familyStatus(peer, rib, 'ipv4'), ipv6: familyStatus(peer, rib, 'ipv6') },
    counters: {
      messagesReceived: sumOf(received),
      messagesSent: sumOf(sent),
      updatesReceived: received.update,
      updatesSent: sent.update,
      establishedCount: totals.establishedCount,
      droppedCount: totals.droppedCount,
      treatAsWithdraw: totals.treatAsWithdraw,
      attributeDiscards: totals.attributeDiscards,
    },
    messages: { received, sent },
    lastNotification: peer.connections.lastNotification,
    outputQueued: peer.connection?.stream.queuedOctets ?? 0,
    gracefulRestart: restartOf(peer),
  };
  const { establishedAt, nextConnectAt } = peer;
  const lastError = findings.problem ?? peer.lastError;
  if (establishedAt !== undefined) status.establishedAt = establishedAt;
  if (session.lastReset !== undefined) status.lastReset = lastReset(session.lastReset, clock);
  if (lastError !== undefined) status.lastError = lastError;
  if (nextConnectAt !== undefined) status.nextConnectAt = nextConnectAt;
  if (findings.dynamic !== undefined) status.dynamic = findings.dynamic;
  if (findings.bfd !== undefined) status.bfd = findings.bfd;
  return status;
}

/** What was made of a peer, and all that it was made from; connections by id, so that none is held longer than it lives. */
interface Kept {
  readonly config: PeerConfig;
  readonly sessionConfig: SessionConfig;
  readonly furthest: Connection | undefined;
  readonly openId: ConnectionId | undefined;
  readonly connectionId: ConnectionId | undefined;
  readonly standing: PeerStanding;
}

const keptOf = new WeakMap<Peer, Kept>();

// Each of these is replaced, never changed, when what it says does.
function standingOf(
  peer: Peer,
  furthest: Connection | undefined,
  open: PeerConnection | undefined,
): PeerStanding {
  const { config, session, connection } = peer;
  const kept = keptOf.get(peer);
  if (
    kept !== undefined &&
    kept.config === config &&
    kept.sessionConfig === session.config &&
    kept.furthest === furthest &&
    kept.openId === open?.id &&
    kept.connectionId === connection?.id
  ) {
    return kept.standing;
  }
  const standing = makeStanding(peer, furthest, open);
  keptOf.set(peer, {
    config,
    sessionConfig: session.config,
    furthest,
    openId: open?.id,
    connectionId: connection?.id,
    standing,
  });
  return standing;
}

function makeStanding(
  { config, session, connection, negotiated }: Peer,
  furthest: Connection | undefined,
  open: PeerConnection | undefined,
): PeerStanding {
  const kind = config.localAs === config.peerAs ? 'ibgp' : 'ebgp';
  const policy = (chain: string | undefined): string => chain ?? (kind === 'ebgp' ? 'missing' : 'none');
  return {
    name: config.name,
    address: config.address,
    peerAs: config.peerAs,
    localAs: config.localAs,
    kind,
    ...(negotiated && {
      peerRouterId: negotiated.peerRouterId,
      holdTimeSec: negotiated.holdTimeSec,
      keepaliveTimeSec: negotiated.keepaliveTimeSec,
    }),
    localRouterId: session.config.routerId,
    ...(connection && { localAddress: connection.stream.channel.localAddress }),
    ...(furthest && open && { connection: connectionStatus(furthest, open) }),
    transport: transportOf(config, kind),
    ...(furthest && 'negotiated' in furthest && { terms: termsOf(furthest.negotiated, config) }),
    capabilities: capabilitiesOf(furthest),
    capabilitiesSent: negotiated?.sent.map(capabilityName) ?? [],
    capabilitiesReceived: negotiated?.received.map(capabilityName) ?? [],
    importPolicy: policy(config.importPolicy?.name),
    exportPolicy: policy(config.exportPolicy?.name),
  };
}

function restartOf({ negotiated, helperUntil }: Peer): PeerStatus['gracefulRestart'] {
  const restart = negotiated?.gracefulRestart;
  return {
    peerCapable: restart !== undefined,
    ...(restart && { peerRestartTimeSec: restart.restartTimeSec }),
    peerFamilies: restart?.families.map(({ family }) => family) ?? [],
    ...(helperUntil !== undefined && { helperUntil }),
  };
}

/** The established connection, or the one that has come furthest. */
function furthestConnection({ connections }: Session): Connection | undefined {
  let best: Connection | undefined;
  for (const connection of connections) {
    if (best === undefined || FSM_STATES.indexOf(connection.state) > FSM_STATES.indexOf(best.state)) {
      best = connection;
    }
  }
  return best;
}

/** Messages of all connections, closed and open. */
function allMessages({ totals, connections }: Peer, direction: 'received' | 'sent'): MessageTypeCounts {
  let all = totals[direction].byType;
  for (const { stream } of connections.all) {
    const more = stream.counts[direction].byType;
    all = {
      open: all.open + more.open,
      update: all.update + more.update,
      notification: all.notification + more.notification,
      keepalive: all.keepalive + more.keepalive,
      routeRefresh: all.routeRefresh + more.routeRefresh,
    };
  }
  return all;
}

function sumOf({ open, update, notification, keepalive, routeRefresh }: MessageTypeCounts): number {
  return open + update + notification + keepalive + routeRefresh;
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
    // A packet with TTL 1 gets to neighbours only, and one that still has 255 came from one (RFC 5082 3).
    multihop:
      config.ttl !== 1 && config.minTtl !== 255 && (kind === 'ibgp' || config.requireConnected !== true),
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

const textsOfResets = new WeakMap<ResetRecord, string>();

/** What was found wrong, and what the NOTIFICATION said of it. */
function textOf(record: ResetRecord): string {
  let text = textsOfResets.get(record);
  if (text === undefined) {
    const { error, reason } = record;
    const decoded = error && describeNotification(error);
    text = decoded === undefined || decoded === reason ? reason : `${decoded}: ${reason}`;
    textsOfResets.set(record, text);
  }
  return text;
}

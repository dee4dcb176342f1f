/**
 * A session as `GET /v1/bgp/peers` shows it: what names it, how it is at this moment, and what stays while the session does. The last is most of
 * it, and nearly always the same as when somebody asked before: its text is kept, so that a thousand sessions can be asked for every second.
 */
import type { PeerStanding } from '../../../bgp/peer-status.ts';
import type { PeerStatus } from '../../../bgp/types.ts';
import type { PeerView } from '../../api/views.ts';
import { formatAddress } from '../../net/address.ts';
import type { PeerOrigin } from './dynamic.ts';
import { notificationsView, type SessionView, sessionView } from './peer-detail.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

type NamingView = Pick<
  PeerView,
  'name' | 'resource' | 'group' | 'dynamic' | 'address' | 'asNumber' | 'localAs' | 'kind'
>;

type PresentView = Omit<PeerView, keyof NamingView | keyof SessionView>;

/** As an object. */
export function peerView(status: PeerStatus, origin: PeerOrigin): PeerView {
  return {
    ...namingView(status.standing, status.dynamic !== undefined, origin),
    ...presentView(status),
    ...sessionView(status.standing),
  };
}

/** As JSON text. */
export function peerText(status: PeerStatus, origin: PeerOrigin): string {
  const { naming, session } = standingTexts(status, origin);
  return `{${naming},${fieldsOf(presentView(status))},${session}}`;
}

/** Texts that stay, without braces. */
interface StandingTexts {
  readonly resource: string;
  readonly group: string | undefined;
  readonly naming: string;
  readonly session: string;
}

const textsOf = new WeakMap<PeerStanding, StandingTexts>();

function standingTexts({ standing, dynamic }: PeerStatus, origin: PeerOrigin): StandingTexts {
  const { resource, group } = origin;
  const kept = textsOf.get(standing);
  // The resource that asks for a peer may change without the peer.
  if (kept !== undefined && kept.resource === resource && kept.group === group) return kept;
  const texts = {
    resource,
    group,
    naming: fieldsOf(namingView(standing, dynamic !== undefined, origin)),
    session: kept?.session ?? fieldsOf(sessionView(standing)),
  };
  textsOf.set(standing, texts);
  return texts;
}

/** The text of an object that has fields, without its braces. */
function fieldsOf(view: object): string {
  return JSON.stringify(view).slice(1, -1);
}

function namingView(standing: PeerStanding, isDynamic: boolean, { resource, group }: PeerOrigin): NamingView {
  return {
    name: standing.name,
    resource,
    ...(group !== undefined && { group }),
    ...(isDynamic && { dynamic: true }),
    address: formatAddress(standing.address),
    asNumber: standing.peerAs,
    localAs: standing.localAs,
    kind: standing.kind,
  };
}

function presentView(status: PeerStatus): PresentView {
  const { establishedAt, lastReset, lastError, nextConnectAt, bfd } = status;
  const view: Writable<PresentView> = {
    state: status.state,
    since: status.since,
    families: status.families,
    counters: { ...status.counters },
    outputQueuedOctets: status.outputQueued,
    timers: status.timers,
    messages: status.messages,
    lastNotification: notificationsView(status.lastNotification),
    gracefulRestart: status.gracefulRestart,
  };
  if (establishedAt !== undefined) view.establishedAt = establishedAt;
  if (lastReset !== undefined) {
    const { at, direction, text, error } = lastReset;
    view.lastReset = { at, direction, text, ...(error && { code: error.code, subcode: error.subcode }) };
  }
  if (lastError !== undefined) view.lastError = lastError;
  if (nextConnectAt !== undefined) view.nextConnectAt = nextConnectAt;
  if (bfd !== undefined) view.bfd = bfd;
  return view;
}

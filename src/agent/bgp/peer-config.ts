/** One peer's configuration, from the fields of its resource, the `ocicat.dev/` settings and this host's surroundings. Pure. */
import type { PeerConfig, PrefixLimit } from '../../../bgp/types.ts';
import type { BgpSettings } from '../../model/bgp-annotations.ts';
import type { BgpPeerSpec } from '../../model/bgp-peer.ts';
import { parseDurationMs } from '../../model/scalars.ts';
import { type Address, FAMILIES, type Family, formatAddress, isUnspecified } from '../../net/address.ts';
import type { SessionPolicies } from './filters.ts';

// Containers need a quick return after a ToR reboot: short retry, hold time as GoBGP and holo ship it.
const HOLD_TIME_SEC = 90;
const CONNECT_RETRY_SEC = 2;
const CONNECT_RETRY_MAX_SEC = 30;
const RESTART_TIME_SEC = 120;
/** RFC 4724 3: twelve bits */
export const RESTART_TIME_MAX_SEC = 4095;
const MULTIHOP_TTL = 64;
const PREFIX_WARNING_PERCENT = 75;
const BFD_INTERVAL_MS = 300;
const BFD_MULTIPLIER = 3;

/** What is known of a peer before its details. */
export interface PeerBase {
  /** :: while the neighbour of an unnumbered peer is not known */
  readonly address: Address;
  /** the peer is whoever is on the interface of the settings */
  readonly unnumbered?: boolean | undefined;
  readonly port: number;
  readonly peerAs: number;
  /** the other side dials */
  readonly passive: boolean;
  /** the peer's address is on a subnet of ours */
  readonly connected: boolean;
  /** the link that leads to it; undefined: several, none that is known, or nobody follows the links */
  readonly link?: string | undefined;
  /** the AS and the address of this node */
  readonly nodeAs: number;
  readonly nodeAddress: Address | undefined;
  /** this node is a route reflector, and not of the peer's cluster */
  readonly reflects: boolean;
  readonly spec: BgpPeerSpec;
  readonly settings: BgpSettings;
  readonly policies: SessionPolicies;
  /** TCP MD5 key; 'unavailable': there should be one, so the peer stays down */
  readonly password: { readonly key: string } | 'unavailable' | undefined;
}

/** The name of a peer: its address, with its link where the address alone is not one; of an unnumbered one its link. */
export function peerName({ address, settings, unnumbered }: PeerBase): string {
  const text = formatAddress(address);
  if (unnumbered === true && settings.interface !== undefined) return settings.interface;
  return settings.interface === undefined ? text : `${text}%${settings.interface}`;
}

/** Everything decided. */
export function makePeerConfig(base: PeerBase): PeerConfig {
  const { spec, settings, address, password } = base;
  const localAs = spec.localASNumber ?? base.nodeAs;
  const external = base.peerAs !== localAs;
  const localAddress = localAddressOf(base);
  const isKnown = !isUnspecified(address);
  const families = settings.families ?? (base.unnumbered === true ? FAMILIES : [address.family]);
  const keepaliveTimeSec = settings['keepalive-time'] ?? durationSec(spec.keepaliveTime);
  const holdTimeSec = settings['hold-time'] ?? HOLD_TIME_SEC;
  const connectRetrySec = settings['connect-retry'] ?? CONNECT_RETRY_SEC;
  return {
    name: peerName(base),
    address,
    port: base.port,
    peerAs: base.peerAs,
    ...acceptedAsOf(settings),
    localAs,
    ...(localAddress !== undefined && { localAddress }),
    passive: !isKnown || (settings.passive ?? base.passive),
    adminDown: settings.shutdown === true || password === 'unavailable',
    ...(settings['shutdown-text'] !== undefined && { shutdownText: settings['shutdown-text'] }),
    holdTimeSec,
    ...(keepaliveTimeSec !== undefined && { keepaliveTimeSec: atMostThird(keepaliveTimeSec, holdTimeSec) }),
    connectRetrySec,
    connectRetryMaxSec: Math.max(connectRetrySec, settings['connect-retry-max'] ?? CONNECT_RETRY_MAX_SEC),
    ...ttlOf(base),
    families,
    ...gracefulRestartOf(base),
    importPolicy: base.policies.importPolicy,
    exportPolicy: base.policies.exportPolicy,
    nextHop: nextHopOf(spec, external),
    allowOwnAs: Math.max(0, spec.numAllowedLocalASNumbers ?? 0),
    ...(isKnown && typeof password === 'object' && { password: password.key }),
    ...(base.reflects && !external && { routeReflectorClient: true }),
    ...(localAs !== base.nodeAs && { localAsOptions: localAsOptionsOf(settings) }),
    ...(isKnown && bfdOf(base)),
    ...optionsOf(base, external, families),
    ...(external && failoverOf(base)),
  };
}

function acceptedAsOf(settings: BgpSettings): Pick<PeerConfig, 'acceptedAs'> {
  const remote = settings['remote-as'];
  return remote === undefined || remote === 'internal' ? {} : { acceptedAs: remote };
}

// A connected peer knows us by our address on its subnet, which the kernel picks; any other by the node's address.
function localAddressOf({ spec, connected, nodeAddress, settings }: PeerBase): Address | undefined {
  if (spec.sourceAddress === 'None' || settings.interface !== undefined) return undefined;
  return spec.sourceAddress === 'UseNodeIP' || !connected ? nodeAddress : undefined;
}

function ttlOf({ spec, settings, connected }: PeerBase): Pick<PeerConfig, 'ttl' | 'minTtl'> {
  // RFC 5082 3: a packet that came over n hops, the peer's link being the first, has a TTL of at least 256 - n.
  const hops = spec.ttlSecurity ?? 0;
  if (hops > 0) return { ttl: 255, minTtl: 256 - hops };
  return { ttl: settings.ttl ?? (connected ? 1 : MULTIHOP_TTL) };
}

function gracefulRestartOf({
  spec,
  settings,
}: PeerBase): Pick<PeerConfig, 'gracefulRestart' | 'longLivedGracefulRestart'> {
  const mode = settings['graceful-restart'] ?? 'on';
  if (mode === 'off') return {};
  const restartTimeSec = Math.min(
    RESTART_TIME_MAX_SEC,
    Math.max(0, durationSec(spec.maxRestartTime) ?? RESTART_TIME_SEC),
  );
  const longLived = settings['long-lived-graceful-restart'];
  return {
    gracefulRestart: {
      restartTimeSec,
      maxHelperTimeSec: restartTimeSec,
      ...(mode === 'notification' && { notification: true }),
    },
    ...(longLived !== undefined && {
      longLivedGracefulRestart: { staleTimeSec: longLived, maxHelperTimeSec: longLived },
    }),
  };
}

// RFC 5881 5 keeps one-hop packets to TTL 255 by itself; over several hops the bound of TTL security holds for BFD too (RFC 5883 5).
function bfdOf(base: PeerBase): Pick<PeerConfig, 'bfd'> {
  const { settings, connected } = base;
  if (settings.bfd !== true) return {};
  const interval = settings['bfd-interval'] ?? BFD_INTERVAL_MS;
  const { minTtl } = ttlOf(base);
  return {
    bfd: {
      minTxMs: interval,
      minRxMs: interval,
      multiplier: settings['bfd-multiplier'] ?? BFD_MULTIPLIER,
      multihop: !connected,
      ...(settings['bfd-strict'] === true && { strict: true }),
      ...(!connected && minTtl !== undefined && { minTtl }),
    },
  };
}

// FRR's rule: an external peer that only one hop leads to, by TTL or TTL security; a session that is bound to a link has no other way either.
function failoverOf(base: PeerBase): Pick<PeerConfig, 'failoverLink'> {
  const { settings, link } = base;
  if (link === undefined || settings['fast-external-failover'] === false) return {};
  const { ttl, minTtl } = ttlOf(base);
  const isOneHop = minTtl === undefined ? ttl === 1 || ttl === 255 : minTtl === 255;
  return isOneHop || settings.interface !== undefined ? { failoverLink: link } : {};
}

function nextHopOf(spec: BgpPeerSpec, external: boolean): PeerConfig['nextHop'] {
  if (spec.keepOriginalNextHop === true && external) return 'keep';
  return spec.nextHopMode === 'Self' ? 'self' : spec.nextHopMode === 'Keep' ? 'keep' : 'auto';
}

function localAsOptionsOf(settings: BgpSettings): NonNullable<PeerConfig['localAsOptions']> {
  const mode = settings['local-as-mode'] ?? 'replace';
  return { noPrepend: mode !== 'prepend', replaceAs: mode === 'replace' };
}

function optionsOf(
  { settings, unnumbered = false }: PeerBase,
  external: boolean,
  families: readonly Family[],
): Partial<PeerConfig> {
  const paths = settings['add-path'];
  const sendMax = settings['add-path-max'];
  return {
    ...(settings['enhanced-route-refresh'] === true && { enhancedRouteRefresh: true }),
    ...(settings['extended-messages'] === true && { extendedMessages: true }),
    ...((settings['extended-next-hop'] ?? unnumbered) && { extendedNextHop: true }),
    ...(settings['graceful-shutdown'] === true && { gracefulShutdown: true }),
    ...(settings['long-lived-partial'] === true && { longLivedPartial: true }),
    ...(paths !== undefined && {
      addPath: {
        ...(paths !== 'send' && { receive: families }),
        ...(paths !== 'receive' && { send: families }),
        ...(sendMax !== undefined && { sendMax }),
      },
    }),
    ...(settings.interface !== undefined && { interface: settings.interface }),
    ...maxPrefixesOf(settings),
    ...(external && externalOptionsOf(settings)),
  };
}

function externalOptionsOf(settings: BgpSettings): Partial<PeerConfig> {
  const removePrivateAs = settings['remove-private-as'];
  return {
    ...(settings.role !== undefined && {
      role: { local: settings.role, strict: settings['role-strict'] === true },
    }),
    ...(settings['as-override'] === true && { asOverride: true }),
    ...(settings['enforce-first-as'] === true && { enforceFirstAs: true }),
    ...(removePrivateAs !== undefined && { removePrivateAs }),
  };
}

function maxPrefixesOf(settings: BgpSettings): Pick<PeerConfig, 'maxPrefixes'> {
  const kind = settings['max-prefix-action'] ?? 'stop';
  const restartSec = settings['max-prefix-restart'];
  const limits: Partial<Record<Family, PrefixLimit>> = {};
  for (const family of ['ipv4', 'ipv6'] as const) {
    const limit = settings[`max-prefix-${family}`];
    if (limit === undefined) continue;
    limits[family] = {
      limit,
      count: settings['max-prefix-count'] ?? 'received',
      warnPercent: settings['max-prefix-warning'] ?? PREFIX_WARNING_PERCENT,
      action: kind === 'stop' ? { kind, ...(restartSec !== undefined && { restartSec }) } : { kind },
    };
  }
  return Object.keys(limits).length === 0 ? {} : { maxPrefixes: limits };
}

/** Whole seconds of one of Calico's durations, at least 1 for a positive one. */
export function durationSec(text: string | undefined): number | undefined {
  const ms = text === undefined ? undefined : parseDurationMs(text);
  return ms === undefined ? undefined : Math.ceil(ms / 1000);
}

function atMostThird(keepaliveTimeSec: number, holdTimeSec: number): number {
  return holdTimeSec === 0
    ? keepaliveTimeSec
    : Math.max(1, Math.min(keepaliveTimeSec, Math.floor(holdTimeSec / 3)));
}

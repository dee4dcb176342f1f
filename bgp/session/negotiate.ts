/** What we put into an OPEN, and what two OPENs come to. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import {
  AFI,
  AS_TRANS,
  familyOf,
  MAX_EXTENDED_MESSAGE_OCTETS,
  MAX_MESSAGE_OCTETS,
  SAFI_UNICAST,
} from '../wire/registry.ts';
import type { Capability, DecodeContext, OpenMessage, PerFamily } from '../wire/types.ts';

/** What the session machine needs to know of a peer. */
export interface SessionConfig {
  readonly localAs: number;
  readonly peerAs: number;
  /** in place of `peerAs`: the OPEN says which, and that is then the peer's AS for good */
  readonly acceptedAs?: readonly number[] | 'external' | undefined;
  /** our BGP identifier, unsigned 32-bit */
  readonly routerId: number;
  readonly passive: boolean;
  /** 0 or 3..65535 */
  readonly holdTimeSec: number;
  /** time between KEEPALIVEs at most */
  readonly keepaliveTimeSec?: number | undefined;
  readonly connectRetrySec: number;
  readonly connectRetryMaxSec: number;
  readonly families: readonly Family[];
  /** with `notification`, RFC 8538 is offered too */
  readonly gracefulRestart:
    | { readonly restartTimeSec: number; readonly maxHelperTimeSec: number; readonly notification?: boolean }
    | undefined;
  /** RFC 9494: counts only beside `gracefulRestart` */
  readonly longLivedGracefulRestart?:
    | { readonly staleTimeSec: number; readonly maxHelperTimeSec: number }
    | undefined;
  /** RFC 7313 */
  readonly enhancedRouteRefresh?: boolean | undefined;
  /** RFC 8654 */
  readonly extendedMessages?: boolean | undefined;
  /** RFC 8950: IPv4 unicast with IPv6 next hops */
  readonly extendedNextHop?: boolean | undefined;
  /** RFC 7911: what we can do, by family */
  readonly addPath?: PerFamily<{ readonly send: boolean; readonly receive: boolean }> | undefined;
  /** RFC 9234 */
  readonly role?: { readonly local: number; readonly strict: boolean } | undefined;
  /** RFC 4271 6.3 */
  readonly enforceFirstAs?: boolean | undefined;
  /** draft-ietf-idr-bgp-bfd-strict-mode: the session waits for BFD where the peer wants that too */
  readonly bfdStrict?: boolean | undefined;
  /** told to the peer as they are (capabilities 73 and 75) */
  readonly identity?: { readonly host?: string; readonly softwareVersion?: string } | undefined;
}

/** What our OPEN says of our own restart (RFC 4724 3); it must be true when the OPEN leaves. */
export interface RestartFlags {
  /** R bit: we have restarted and still wait for End-of-RIB */
  readonly restarting: boolean;
  /** F bit for each family: the kernel kept forwarding */
  readonly forwarding: PerFamily<boolean>;
}

/** What the peer's graceful restart capability promises, RFC 4724 3. */
export interface PeerRestart {
  readonly restarting: boolean;
  /** N bit, RFC 8538 */
  readonly notification: boolean;
  readonly restartTimeSec: number;
  /** negotiated families that the peer listed */
  readonly families: readonly { readonly family: Family; readonly forwarding: boolean }[];
}

/** One family of the peer's long-lived graceful restart capability, RFC 9494 3. */
export interface LongLivedFamily {
  readonly family: Family;
  readonly forwarding: boolean;
  readonly staleTimeSec: number;
}

/** A session's terms, fixed by the two OPENs. */
export interface Negotiated {
  readonly peerRouterId: number;
  /** 0: neither hold nor keepalive timer */
  readonly holdTimeSec: number;
  readonly keepaliveTimeSec: number;
  readonly context: DecodeContext;
  readonly routeRefresh: boolean;
  /** longest message that we may send, in octets */
  readonly maxMessage: number;
  /** undefined unless both sides offered it */
  readonly gracefulRestart: PeerRestart | undefined;
  /** RFC 8538: both sides set the N bit, so graceful restart holds over NOTIFICATIONs too */
  readonly gracefulNotification: boolean;
  /** RFC 9494: negotiated families that the peer listed; undefined unless both sides offered it and graceful restart */
  readonly longLived: readonly LongLivedFamily[] | undefined;
  /** RFC 7313 */
  readonly enhancedRouteRefresh: boolean;
  /** draft-ietf-idr-bgp-bfd-strict-mode 6: both sides wait for BFD */
  readonly bfdStrict: boolean;
  /** RFC 7911: NLRI that we send carry path identifiers */
  readonly addPathSend: PerFamily<boolean>;
  readonly sent: readonly Capability[];
  readonly received: readonly Capability[];
}

/** Our OPEN for a peer. */
export function buildOpen(config: SessionConfig, flags: RestartFlags): OpenMessage {
  const families = FAMILIES.filter((family) => config.families.includes(family));
  const capabilities: Capability[] = families.map((family) => ({
    kind: 'multiprotocol',
    afi: AFI[family],
    safi: SAFI_UNICAST,
  }));
  capabilities.push({ kind: 'route-refresh' });
  if (config.gracefulRestart !== undefined) {
    capabilities.push({
      kind: 'graceful-restart',
      restarting: flags.restarting,
      notification: config.gracefulRestart.notification ?? false,
      restartTimeSec: config.gracefulRestart.restartTimeSec,
      families: families.map((family) => ({
        afi: AFI[family],
        safi: SAFI_UNICAST,
        forwarding: flags.forwarding[family],
      })),
    });
  }
  capabilities.push({ kind: 'four-octet-as', as: config.localAs });
  capabilities.push(...optionalCapabilities(config, families, flags));
  return {
    version: 4,
    as2: config.localAs > 0xffff ? AS_TRANS : config.localAs,
    holdTimeSec: config.holdTimeSec,
    routerId: config.routerId,
    capabilities,
  };
}

/** What is offered only where it is asked for. */
function optionalCapabilities(
  config: SessionConfig,
  families: readonly Family[],
  flags: RestartFlags,
): Capability[] {
  const offered: Capability[] = [];
  const unicast = (family: Family) => ({ afi: AFI[family], safi: SAFI_UNICAST });
  if (config.extendedNextHop === true && families.includes('ipv4')) {
    offered.push({
      kind: 'extended-next-hop',
      entries: [{ ...unicast('ipv4'), nextHopAfi: AFI.ipv6 }],
    });
  }
  if (config.extendedMessages === true) offered.push({ kind: 'extended-message' });
  if (config.role !== undefined && config.localAs !== config.peerAs) {
    offered.push({ kind: 'role', role: config.role.local });
  }
  const { addPath } = config;
  const paths = addPath && families.filter((family) => addPath[family].send || addPath[family].receive);
  if (addPath !== undefined && paths !== undefined && paths.length > 0) {
    offered.push({
      kind: 'add-path',
      entries: paths.map((family) => ({ ...unicast(family), ...addPath[family] })),
    });
  }
  if (config.enhancedRouteRefresh === true) offered.push({ kind: 'enhanced-route-refresh' });
  if (config.bfdStrict === true) offered.push({ kind: 'bfd-strict-mode' });
  const { longLivedGracefulRestart: longLived } = config;
  if (longLived !== undefined && config.gracefulRestart !== undefined) {
    offered.push({
      kind: 'long-lived-graceful-restart',
      families: families.map((family) => ({
        ...unicast(family),
        forwarding: flags.forwarding[family],
        staleTimeSec: longLived.staleTimeSec,
      })),
    });
  }
  const { host, softwareVersion } = config.identity ?? {};
  if (host !== undefined) offered.push({ kind: 'fqdn', host, domain: '' });
  if (softwareVersion !== undefined) offered.push({ kind: 'software-version', version: softwareVersion });
  return offered;
}

/**
 * The terms that follow from the two OPENs of one connection. The peer's must have been validated. Returns undefined when the two
 * sides have no family in common.
 */
export function negotiate(
  config: SessionConfig,
  sent: OpenMessage,
  received: OpenMessage,
): Negotiated | undefined {
  const theirs = offeredFamilies(received);
  const families = { ipv4: false, ipv6: false };
  for (const family of offeredFamilies(sent)) families[family] = theirs.has(family);
  if (!families.ipv4 && !families.ipv6) return undefined;

  const holdTimeSec = Math.min(sent.holdTimeSec, received.holdTimeSec);
  const both = (kind: Capability['kind']): boolean => offers(sent, kind) && offers(received, kind);
  const extendedMessage = both('extended-message');
  const gracefulRestart = offers(sent, 'graceful-restart') ? peerRestart(received, families) : undefined;
  const addPath = (family: Family) => negotiatedAddPath(family, sent, received);
  return {
    peerRouterId: received.routerId,
    holdTimeSec,
    keepaliveTimeSec: Math.min(Math.floor(holdTimeSec / 3), config.keepaliveTimeSec ?? holdTimeSec),
    context: {
      peerKind: config.localAs === config.peerAs ? 'ibgp' : 'ebgp',
      localAs: config.localAs,
      peerAs: config.peerAs,
      as4: both('four-octet-as'),
      extendedMessage,
      addPathReceive: { ipv4: addPath('ipv4').receive, ipv6: addPath('ipv6').receive },
      families,
      extendedNextHop: offersExtendedNextHop(sent) && offersExtendedNextHop(received),
      ...(config.enforceFirstAs === true && { enforceFirstAs: true }),
    },
    routeRefresh: offers(received, 'route-refresh'),
    maxMessage: extendedMessage ? MAX_EXTENDED_MESSAGE_OCTETS : MAX_MESSAGE_OCTETS,
    gracefulRestart,
    gracefulNotification: gracefulRestart?.notification === true && offersNotification(sent),
    longLived:
      gracefulRestart !== undefined && both('long-lived-graceful-restart')
        ? longLivedFamilies(received, families)
        : undefined,
    enhancedRouteRefresh: both('enhanced-route-refresh'),
    bfdStrict: both('bfd-strict-mode'),
    addPathSend: { ipv4: addPath('ipv4').send, ipv6: addPath('ipv6').send },
    sent: sent.capabilities,
    received: received.capabilities,
  };
}

/** RFC 4760 8: without any multiprotocol capability a speaker carries IPv4 unicast alone. */
function offeredFamilies(open: OpenMessage): Set<Family> {
  const families = new Set<Family>();
  let any = false;
  for (const capability of open.capabilities) {
    if (capability.kind !== 'multiprotocol') continue;
    any = true;
    const family = familyOf(capability.afi, capability.safi);
    if (family !== undefined) families.add(family);
  }
  if (!any) families.add('ipv4');
  return families;
}

function offers(open: OpenMessage, kind: Capability['kind']): boolean {
  return open.capabilities.some((capability) => capability.kind === kind);
}

function offersNotification(open: OpenMessage): boolean {
  return open.capabilities.some(
    (capability) => capability.kind === 'graceful-restart' && capability.notification,
  );
}

/** RFC 8950 4: IPv4 unicast with IPv6 next hops. */
function offersExtendedNextHop(open: OpenMessage): boolean {
  return open.capabilities.some(
    (capability) =>
      capability.kind === 'extended-next-hop' &&
      capability.entries.some(
        ({ afi, safi, nextHopAfi }) => familyOf(afi, safi) === 'ipv4' && nextHopAfi === AFI.ipv6,
      ),
  );
}

/** RFC 7911 4: one side's Send goes with the other side's Receive. */
function negotiatedAddPath(
  family: Family,
  sent: OpenMessage,
  received: OpenMessage,
): { readonly send: boolean; readonly receive: boolean } {
  const ours = offeredAddPath(family, sent);
  const theirs = offeredAddPath(family, received);
  return { send: ours.send && theirs.receive, receive: ours.receive && theirs.send };
}

function offeredAddPath(
  family: Family,
  open: OpenMessage,
): { readonly send: boolean; readonly receive: boolean } {
  let offered = { send: false, receive: false };
  for (const capability of open.capabilities) {
    if (capability.kind !== 'add-path') continue;
    // RFC 7911 4: of several instances of a family the last one counts.
    for (const { afi, safi, send, receive } of capability.entries) {
      if (familyOf(afi, safi) === family) offered = { send, receive };
    }
  }
  return offered;
}

function longLivedFamilies(open: OpenMessage, negotiated: PerFamily<boolean>): readonly LongLivedFamily[] {
  const families = new Map<Family, LongLivedFamily>();
  for (const capability of open.capabilities) {
    if (capability.kind !== 'long-lived-graceful-restart') continue;
    for (const { afi, safi, forwarding, staleTimeSec } of capability.families) {
      const family = familyOf(afi, safi);
      if (family !== undefined && negotiated[family]) {
        families.set(family, { family, forwarding, staleTimeSec });
      }
    }
  }
  return [...families.values()];
}

/** RFC 4724 3: of several instances of the capability the last one counts. */
function peerRestart(open: OpenMessage, negotiated: PerFamily<boolean>): PeerRestart | undefined {
  let result: PeerRestart | undefined;
  for (const capability of open.capabilities) {
    if (capability.kind !== 'graceful-restart') continue;
    const families = new Map<Family, boolean>();
    for (const entry of capability.families) {
      const family = familyOf(entry.afi, entry.safi);
      if (family !== undefined && negotiated[family]) families.set(family, entry.forwarding);
    }
    result = {
      restarting: capability.restarting,
      notification: capability.notification,
      restartTimeSec: capability.restartTimeSec,
      families: Array.from(families, ([family, forwarding]) => ({ family, forwarding })),
    };
  }
  return result;
}

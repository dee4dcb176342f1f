/** What we put into an OPEN, and what two OPENs come to. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { AFI, AS_TRANS, familyOf, MAX_MESSAGE_OCTETS, SAFI_UNICAST } from '../wire/registry.ts';
import type { Capability, DecodeContext, OpenMessage, PerFamily } from '../wire/types.ts';

/** What the session machine needs to know of a peer. */
export interface SessionConfig {
  readonly localAs: number;
  readonly peerAs: number;
  /** our BGP identifier, unsigned 32-bit */
  readonly routerId: number;
  readonly passive: boolean;
  /** 0 or 3..65535 */
  readonly holdTimeSec: number;
  readonly connectRetrySec: number;
  readonly connectRetryMaxSec: number;
  readonly families: readonly Family[];
  readonly gracefulRestart:
    | { readonly restartTimeSec: number; readonly maxHelperTimeSec: number }
    | undefined;
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
      notification: false,
      restartTimeSec: config.gracefulRestart.restartTimeSec,
      families: families.map((family) => ({
        afi: AFI[family],
        safi: SAFI_UNICAST,
        forwarding: flags.forwarding[family],
      })),
    });
  }
  capabilities.push({ kind: 'four-octet-as', as: config.localAs });
  return {
    version: 4,
    as2: config.localAs > 0xffff ? AS_TRANS : config.localAs,
    holdTimeSec: config.holdTimeSec,
    routerId: config.routerId,
    capabilities,
  };
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
  return {
    peerRouterId: received.routerId,
    holdTimeSec,
    keepaliveTimeSec: Math.floor(holdTimeSec / 3),
    context: {
      peerKind: config.localAs === config.peerAs ? 'ibgp' : 'ebgp',
      localAs: config.localAs,
      peerAs: config.peerAs,
      as4: offers(sent, 'four-octet-as') && offers(received, 'four-octet-as'),
      extendedMessage: false,
      addPathReceive: { ipv4: false, ipv6: false },
      families,
      extendedNextHop: false,
    },
    routeRefresh: offers(received, 'route-refresh'),
    maxMessage: MAX_MESSAGE_OCTETS,
    gracefulRestart: offers(sent, 'graceful-restart') ? peerRestart(received, families) : undefined,
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

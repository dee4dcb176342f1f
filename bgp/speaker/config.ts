/** Checking peer configurations, and what a change of one asks for. */
import { addressesEqual, FAMILIES, type Family, isLinkLocal, isUnspecified } from '../../src/net/address.ts';
import type { RestartFlags, SessionConfig } from '../session/negotiate.ts';
import type { PeerConfig, PeerRole } from '../types.ts';
import { ROLE } from '../wire/registry.ts';
import { peerKey } from './peer-key.ts';

/** The kernel's TCP_MD5SIG_MAXKEYLEN */
const MD5_KEY_MAX = 80;

const ROLE_NUMBERS: Readonly<Record<PeerRole, number>> = {
  provider: ROLE.provider,
  rs: ROLE.routeServer,
  'rs-client': ROLE.routeServerClient,
  customer: ROLE.customer,
  peer: ROLE.peer,
};

/** A peer configuration that cannot be used: `peer` and `field` name the place. */
export class PeerConfigError extends Error {
  override readonly name = 'PeerConfigError';
  readonly peer: string;
  readonly field: string;

  constructor(peer: string, field: string, problem: string) {
    super(`peer ${peer}: ${field}: ${problem}`);
    this.peer = peer;
    this.field = field;
  }
}

/** Throws a PeerConfigError at the first thing that cannot be. */
export function checkPeers(peers: readonly PeerConfig[]): void {
  const byName = new Set<string>();
  const byAddress = new Map<string, string>();
  for (const peer of peers) {
    if (byName.has(peer.name)) throw new PeerConfigError(peer.name, 'name', 'two peers have this name');
    byName.add(peer.name);
    const address = peerKey(peer.address, peer.interface);
    const other = byAddress.get(address);
    if (other !== undefined) {
      throw new PeerConfigError(
        peer.name,
        'address',
        `${address} is already peer ${other}; an address can be one peer only`,
      );
    }
    byAddress.set(address, peer.name);
    checkPeer(peer);
  }
}

function checkPeer(peer: PeerConfig): void {
  const check = (field: keyof PeerConfig, ok: boolean, expected: string): void => {
    if (!ok) throw new PeerConfigError(peer.name, field, `must be ${expected}`);
  };
  const integer = (value: number, min: number, max: number): boolean =>
    Number.isInteger(value) && value >= min && value <= max;
  check('port', integer(peer.port, 1, 65535), '1..65535');
  check('peerAs', integer(peer.peerAs, 1, 4294967295), '1..4294967295');
  check('localAs', integer(peer.localAs, 1, 4294967295), '1..4294967295');
  check(
    'holdTimeSec',
    peer.holdTimeSec === 0 || integer(peer.holdTimeSec, 3, 65535),
    '0 or 3..65535 (RFC 4271 4.2)',
  );
  check(
    'keepaliveTimeSec',
    peer.keepaliveTimeSec === undefined ||
      peer.holdTimeSec === 0 ||
      integer(peer.keepaliveTimeSec, 1, Math.floor(peer.holdTimeSec / 3)),
    'from 1 s to a third of the hold time (RFC 4271 4.4)',
  );
  check('connectRetrySec', peer.connectRetrySec > 0, 'more than 0');
  check('connectRetryMaxSec', peer.connectRetryMaxSec >= peer.connectRetrySec, 'at least connectRetrySec');
  check('ttl', integer(peer.ttl, 1, 255), '1..255');
  check('minTtl', peer.minTtl === undefined || integer(peer.minTtl, 1, 255), '1..255');
  check('families', peer.families.length > 0, 'at least one family');
  check(
    'gracefulRestart',
    peer.gracefulRestart === undefined || integer(peer.gracefulRestart.restartTimeSec, 0, 4095),
    'a restart time of 0..4095 s (RFC 4724 3)',
  );
  const longLived = peer.longLivedGracefulRestart;
  check(
    'longLivedGracefulRestart',
    longLived === undefined || integer(longLived.staleTimeSec, 0, 0xffffff),
    'a stale time of 0..16777215 s (RFC 9494 3)',
  );
  check(
    'longLivedGracefulRestart',
    longLived === undefined || peer.gracefulRestart !== undefined,
    'beside gracefulRestart (RFC 9494 4)',
  );
  checkLimits(peer, check, integer);
  const octets = peer.password === undefined ? 1 : Buffer.byteLength(peer.password);
  check('password', octets >= 1 && octets <= MD5_KEY_MAX, `1..${MD5_KEY_MAX} octets`);
  check(
    'interface',
    peer.interface === undefined || /^[^\s/%]{1,15}$/.test(peer.interface),
    'the name of an interface',
  );
  check(
    'interface',
    peer.interface !== undefined || peer.address.family === 'ipv4' || !isLinkLocal(peer.address),
    'given for a link-local peer address: it is the scope of the address',
  );
  check(
    'address',
    !isUnspecified(peer.address) ||
      (peer.address.family === 'ipv6' &&
        peer.interface !== undefined &&
        peer.passive &&
        peer.bfd === undefined),
    'that of a host; :: only with an interface, passive and without BFD, until the neighbour there is known',
  );
  const internal = peer.localAs === peer.peerAs;
  check('routeReflectorClient', peer.routeReflectorClient !== true || internal, 'of an iBGP peer');
  check('role', peer.role === undefined || !internal, 'of an eBGP peer (RFC 9234 4)');
  const { bfd } = peer;
  const interval = (ms: number): boolean => integer(ms, 10, 60_000);
  check(
    'bfd',
    bfd === undefined || (interval(bfd.minTxMs) && interval(bfd.minRxMs)),
    '10..60000 ms each way',
  );
  check('bfd', bfd === undefined || integer(bfd.multiplier, 1, 255), 'a multiplier of 1..255 (RFC 5880 4.1)');
  check('bfd', bfd?.minTtl === undefined || integer(bfd.minTtl, 1, 255), 'a minTtl of 1..255');
  check(
    'localAddress',
    peer.localAddress === undefined || peer.localAddress.family === peer.address.family,
    'of the family of the peer address',
  );
}

type Check = (field: keyof PeerConfig, ok: boolean, expected: string) => void;

function checkLimits(
  peer: PeerConfig,
  check: Check,
  integer: (value: number, min: number, max: number) => boolean,
): void {
  for (const family of FAMILIES) {
    const limit = peer.maxPrefixes?.[family];
    if (limit === undefined) continue;
    check('maxPrefixes', integer(limit.limit, 1, 0xffffffff), 'a limit of 1..4294967295');
    check('maxPrefixes', integer(limit.warnPercent, 1, 100), 'a warning at 1..100 %');
    const { action } = limit;
    if (action.kind === 'stop' && action.restartSec !== undefined) {
      check('maxPrefixes', integer(action.restartSec, 1, 86_400), 'a restart after 1..86400 s');
    }
  }
  const sendMax = peer.addPath?.sendMax;
  check('addPath', sendMax === undefined || integer(sendMax, 1, 64), 'the best 1..64 paths');
}

/** What the session machine needs of it. */
export function sessionConfig(
  peer: PeerConfig,
  routerId: number,
  identity: SessionConfig['identity'] = undefined,
): SessionConfig {
  const { addPath } = peer;
  const paths = (family: Family) => ({
    send: addPath?.send?.includes(family) ?? false,
    receive: addPath?.receive?.includes(family) ?? false,
  });
  return {
    longLivedGracefulRestart: peer.longLivedGracefulRestart,
    enhancedRouteRefresh: peer.enhancedRouteRefresh,
    extendedMessages: peer.extendedMessages,
    extendedNextHop: peer.extendedNextHop,
    addPath: addPath && { ipv4: paths('ipv4'), ipv6: paths('ipv6') },
    role: peer.role && { local: ROLE_NUMBERS[peer.role.local], strict: peer.role.strict },
    enforceFirstAs: peer.enforceFirstAs,
    bfdStrict: peer.bfd?.strict,
    acceptedAs: peer.acceptedAs,
    identity,
    localAs: peer.localAs,
    peerAs: peer.peerAs,
    routerId,
    passive: peer.passive,
    holdTimeSec: peer.holdTimeSec,
    keepaliveTimeSec: peer.keepaliveTimeSec,
    connectRetrySec: peer.connectRetrySec,
    connectRetryMaxSec: peer.connectRetryMaxSec,
    families: peer.families,
    gracefulRestart: peer.gracefulRestart,
  };
}

/** Fields that were said in the OPEN or are the connection's own: changing one needs a new session. */
const RESETTING = [
  'peerAs',
  'acceptedAs',
  'localAs',
  'localAddress',
  'holdTimeSec',
  'keepaliveTimeSec',
  'ttl',
  'minTtl',
  'families',
  'gracefulRestart',
  'longLivedGracefulRestart',
  'enhancedRouteRefresh',
  'extendedMessages',
  'extendedNextHop',
  'addPath',
  'role',
  'enforceFirstAs',
  'interface',
  'requireConnected',
  'routeReflectorClient',
] as const satisfies readonly (keyof PeerConfig)[];

/**
 * The fields for whose sake a session in progress has to be reset, empty when the change can be made under it. The peer's address is not
 * among them: with another address it is another peer.
 */
export function resettingChanges(from: PeerConfig, to: PeerConfig): readonly string[] {
  const changed: string[] = RESETTING.filter((field) => !same(from, to, field));
  // Another key can be put under a connection, but a connection without any cannot get one.
  if ((from.password === undefined) !== (to.password === undefined)) changed.push('password');
  if ((from.bfd?.strict ?? false) !== (to.bfd?.strict ?? false)) changed.push('bfd.strict');
  return changed;
}

function same(from: PeerConfig, to: PeerConfig, field: (typeof RESETTING)[number]): boolean {
  if (field === 'localAddress') {
    const [a, b] = [from.localAddress, to.localAddress];
    return a === undefined || b === undefined ? a === b : addressesEqual(a, b);
  }
  if (field === 'families') return [...from.families].sort().join() === [...to.families].sort().join();
  if (field === 'gracefulRestart') {
    // The helper's cap is ours alone: it was not in the OPEN.
    const [a, b] = [from.gracefulRestart, to.gracefulRestart];
    return a?.restartTimeSec === b?.restartTimeSec && a?.notification === b?.notification;
  }
  return JSON.stringify(from[field]) === JSON.stringify(to[field]);
}

/** Whether two sets of restart flags say the same. */
export function sameFlags(a: RestartFlags, b: RestartFlags): boolean {
  return (
    a.restarting === b.restarting &&
    a.forwarding.ipv4 === b.forwarding.ipv4 &&
    a.forwarding.ipv6 === b.forwarding.ipv6
  );
}

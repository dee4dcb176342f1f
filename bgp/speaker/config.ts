/** Checking peer configurations, and what a change of one asks for. */
import { addressesEqual, formatAddress } from '../../src/net/address.ts';
import type { RestartFlags, SessionConfig } from '../session/negotiate.ts';
import type { PeerConfig } from '../types.ts';

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
    const address = formatAddress(peer.address);
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
  check(
    'localAddress',
    peer.localAddress === undefined || peer.localAddress.family === peer.address.family,
    'of the family of the peer address',
  );
}

/** What the session machine needs of it. */
export function sessionConfig(peer: PeerConfig, routerId: number): SessionConfig {
  return {
    localAs: peer.localAs,
    peerAs: peer.peerAs,
    routerId,
    passive: peer.passive,
    holdTimeSec: peer.holdTimeSec,
    connectRetrySec: peer.connectRetrySec,
    connectRetryMaxSec: peer.connectRetryMaxSec,
    families: peer.families,
    gracefulRestart: peer.gracefulRestart,
  };
}

/** Fields that were said in the OPEN or are the connection's own: changing one needs a new session. */
const RESETTING = [
  'peerAs',
  'localAs',
  'localAddress',
  'holdTimeSec',
  'ttl',
  'minTtl',
  'families',
  'gracefulRestart',
] as const satisfies readonly (keyof PeerConfig)[];

/**
 * The fields for whose sake a session in progress has to be reset, empty when the change can be made under it. The peer's address is not
 * among them: with another address it is another peer.
 */
export function resettingChanges(from: PeerConfig, to: PeerConfig): readonly string[] {
  return RESETTING.filter((field) => !same(from, to, field));
}

function same(from: PeerConfig, to: PeerConfig, field: (typeof RESETTING)[number]): boolean {
  if (field === 'localAddress') {
    const [a, b] = [from.localAddress, to.localAddress];
    return a === undefined || b === undefined ? a === b : addressesEqual(a, b);
  }
  if (field === 'families') return [...from.families].sort().join() === [...to.families].sort().join();
  if (field === 'gracefulRestart') {
    // The helper's cap is ours alone: it was not in the OPEN.
    return from.gracefulRestart?.restartTimeSec === to.gracefulRestart?.restartTimeSec;
  }
  return from[field] === to[field];
}

/** Whether two sets of restart flags say the same. */
export function sameFlags(a: RestartFlags, b: RestartFlags): boolean {
  return (
    a.restarting === b.restarting &&
    a.forwarding.ipv4 === b.forwarding.ipv4 &&
    a.forwarding.ipv6 === b.forwarding.ipv6
  );
}

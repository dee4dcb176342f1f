/**
 * The BGP library: a speaker and the values that it takes and gives. No kernel, no root: any port, any number of speakers in a process.
 *
 * A `Speaker` holds peers (`setPeers`, made by `makePeer`), originates routes (`originate`, `withdraw`) and shows what it knows (`peers`,
 * `rib.routes`, `rib.subscribe`). Between eBGP peers nothing passes without policies (RFC 8212): `ACCEPT_ALL`, or a `FilterChain` of one's own.
 *
 * ```ts
 * const speaker = new Speaker({
 *   routerId: parseRouterId('192.0.2.1'), localAs: 65001, listen: { port: 1179 }, nextHopTracking: false,
 *   gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 }, log: console.log,
 * });
 * speaker.setPeers([makePeer({ address: '192.0.2.2', localAs: 65001, peerAs: 65002, exportPolicy: ACCEPT_ALL })]);
 * speaker.start();
 * const prefix = parsePrefix('10.1.0.0/16'); // undefined if it is none
 * if (prefix !== undefined) speaker.originate(prefix);
 * await speaker.stop({ mode: 'shutdown' });
 * ```
 */
export {
  type Address,
  addressesEqual,
  FAMILIES,
  type Family,
  formatAddress,
  parseAddress,
} from '../src/net/address.ts';
export { formatPrefix, type Prefix, parsePrefix } from '../src/net/prefix.ts';
export type { BfdStateChange, BfdStatus, BfdTimers } from './bfd/types.ts';
export { ACCEPT_ALL, makePeer, type PeerBasics, parseRouterId, REJECT_ALL } from './peer-defaults.ts';
export type * from './peer-status.ts';
export type {
  FilterChain,
  FilterMatch,
  FilterOperation,
  FilterRule,
  PrefixOperator,
} from './policy/types.ts';
export { Rib } from './rib/rib.ts';
export type { RouteQuery } from './rib/rib-types.ts';
export { PeerConfigError } from './speaker/config.ts';
export type { ServiceState } from './speaker/drain.ts';
export type { SpeakerEvent, SpeakerLog } from './speaker/events.ts';
export type { HostLinks, LinkState } from './speaker/link-guard.ts';
export type { ListenConfig } from './speaker/listeners.ts';
export { type ResetKind, Speaker, type SpeakerOptions, type StopMode } from './speaker.ts';
export { ListenError } from './transport/channel.ts';
export type * from './types.ts';
export {
  formatAsPath,
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  formatRouterId,
} from './wire/format.ts';
export { describeNotification } from './wire/notification.ts';
export type {
  AsPathSegment,
  Capability,
  LargeCommunity,
  NotificationError,
  PathAttributes,
  PerFamily,
} from './wire/types.ts';

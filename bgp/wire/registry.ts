/**
 * Numbers of the BGP registries (IANA "BGP Parameters", "Address Family Numbers", "SAFI Namespace"), by their registered names.
 * Nothing but constants and their names.
 */
import type { Family } from '../../src/net/address.ts';

/** RFC 4271 4.1, RFC 2918 3 */
export const MESSAGE_TYPE = {
  open: 1,
  update: 2,
  notification: 3,
  keepalive: 4,
  routeRefresh: 5,
} as const;

/** Octets of marker, length and type, RFC 4271 4.1 */
export const HEADER_OCTETS = 19;
/** RFC 4271 4.1 */
export const MAX_MESSAGE_OCTETS = 4096;
/** RFC 8654 3 */
export const MAX_EXTENDED_MESSAGE_OCTETS = 65535;

export const AFI = { ipv4: 1, ipv6: 2 } as const satisfies Record<Family, number>;
export const SAFI_UNICAST = 1;

/** The family that an AFI and SAFI name, or undefined when this speaker does not know it. */
export function familyOf(afi: number, safi: number): Family | undefined {
  if (safi !== SAFI_UNICAST) return undefined;
  if (afi === AFI.ipv4) return 'ipv4';
  return afi === AFI.ipv6 ? 'ipv6' : undefined;
}

/** RFC 6793 3: stands for an AS number that does not fit into two octets */
export const AS_TRANS = 23456;

/** RFC 4271 4.3 */
export const FLAG = { optional: 0x80, transitive: 0x40, partial: 0x20, extendedLength: 0x10 } as const;

/** Path attribute type codes */
export const ATTRIBUTE = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  multiExitDisc: 4,
  localPref: 5,
  atomicAggregate: 6,
  aggregator: 7,
  communities: 8,
  originatorId: 9,
  clusterList: 10,
  mpReachNlri: 14,
  mpUnreachNlri: 15,
  extendedCommunities: 16,
  as4Path: 17,
  as4Aggregator: 18,
  ipv6ExtendedCommunities: 25,
  aigp: 26,
  largeCommunities: 32,
  onlyToCustomer: 35,
  prefixSid: 40,
} as const;

/** RFC 4271 4.3, RFC 5065 3 */
export const SEGMENT = { set: 1, sequence: 2, confedSequence: 3, confedSet: 4 } as const;

/** RFC 4271 4.3 */
export const ORIGIN = { igp: 0, egp: 1, incomplete: 2 } as const;

/** RFC 5492 and the documents behind each code */
export const CAPABILITY = {
  multiprotocol: 1,
  routeRefresh: 2,
  extendedNextHop: 5,
  extendedMessage: 6,
  role: 9,
  gracefulRestart: 64,
  fourOctetAs: 65,
  addPath: 69,
  enhancedRouteRefresh: 70,
  longLivedGracefulRestart: 71,
  fqdn: 73,
  bfdStrictMode: 74,
  softwareVersion: 75,
} as const;

/** OPEN optional parameter types: RFC 5492 4, RFC 9072 2 */
export const OPEN_PARAMETER = { capabilities: 2, extendedLength: 255 } as const;

/** RFC 7313 3.2 */
export const REFRESH_SUBTYPE = { request: 0, beginOfRefresh: 1, endOfRefresh: 2 } as const;

/** RFC 4271 4.5, RFC 7313 5, RFC 9687 3 */
export const ERROR = {
  messageHeader: 1,
  openMessage: 2,
  updateMessage: 3,
  holdTimerExpired: 4,
  finiteStateMachine: 5,
  cease: 6,
  routeRefreshMessage: 7,
  sendHoldTimerExpired: 8,
} as const;

/** Subcodes of `ERROR.messageHeader`, RFC 4271 6.1 */
export const HEADER_ERROR = { connectionNotSynchronized: 1, badMessageLength: 2, badMessageType: 3 } as const;

/** Subcodes of `ERROR.openMessage`, RFC 4271 6.2, RFC 5492 5, RFC 9234 4.2 */
export const OPEN_ERROR = {
  unspecific: 0,
  unsupportedVersionNumber: 1,
  badPeerAs: 2,
  badBgpIdentifier: 3,
  unsupportedOptionalParameter: 4,
  unacceptableHoldTime: 6,
  unsupportedCapability: 7,
  roleMismatch: 11,
} as const;

/** Subcodes of `ERROR.updateMessage`, RFC 4271 6.3 */
export const UPDATE_ERROR = {
  malformedAttributeList: 1,
  unrecognizedWellKnownAttribute: 2,
  missingWellKnownAttribute: 3,
  attributeFlags: 4,
  attributeLength: 5,
  invalidOrigin: 6,
  invalidNextHop: 8,
  optionalAttribute: 9,
  invalidNetworkField: 10,
  malformedAsPath: 11,
} as const;

/** Subcodes of `ERROR.finiteStateMachine`, RFC 6608 3 */
export const FSM_ERROR = { unspecific: 0, openSent: 1, openConfirm: 2, established: 3 } as const;

/** Subcodes of `ERROR.cease`, RFC 4486 3, RFC 8538 3.1, RFC 9384 3 */
export const CEASE = {
  maximumPrefixesReached: 1,
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  administrativeReset: 4,
  connectionRejected: 5,
  otherConfigurationChange: 6,
  connectionCollision: 7,
  outOfResources: 8,
  hardReset: 9,
  bfdDown: 10,
} as const;

/** Subcode of `ERROR.routeRefreshMessage`, RFC 7313 5 */
export const REFRESH_ERROR = { invalidMessageLength: 1 } as const;

/** RFC 1997, RFC 7999, RFC 8326, RFC 9494: unsigned 32-bit values */
export const COMMUNITY = {
  gracefulShutdown: 0xffff0000,
  acceptOwn: 0xffff0001,
  llgrStale: 0xffff0006,
  noLlgr: 0xffff0007,
  blackhole: 0xffff029a,
  noExport: 0xffffff01,
  noAdvertise: 0xffffff02,
  noExportSubconfed: 0xffffff03,
  noPeer: 0xffffff04,
} as const;

/** RFC 9234 4.1 */
export const ROLE = { provider: 0, routeServer: 1, routeServerClient: 2, customer: 3, peer: 4 } as const;

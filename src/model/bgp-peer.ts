/** BGPPeer: a BGP session that some or all nodes have. */
import { parseAddress } from '../net/address.ts';
import { type BgpPassword, bgpPassword } from './bgp-password.ts';
import type { ResourceOf } from './metadata-types.ts';
import { address, asNumber, checkName, duration, name, selector } from './scalars.ts';
import {
  atMost,
  boolean,
  integer,
  list,
  object,
  oneOf,
  optional,
  type Problems,
  show,
  strictlyOneOf,
  type TextCheck,
  text,
} from './schema.ts';

export interface BgpPeerSpec {
  /** the node that has this peer; with neither `node` nor `nodeSelector`, every node has it */
  readonly node?: string;
  readonly nodeSelector?: string;
  /** address, or `192.0.2.1:1179`, or `[2001:db8::1]:1179` */
  readonly peerIP?: string;
  readonly asNumber?: number;
  readonly localASNumber?: number;
  readonly peerSelector?: string;
  readonly keepOriginalNextHop?: boolean;
  readonly nextHopMode?: 'Auto' | 'Self' | 'Keep';
  readonly password?: BgpPassword;
  readonly sourceAddress?: 'UseNodeIP' | 'None';
  readonly maxRestartTime?: string;
  readonly keepaliveTime?: string;
  readonly numAllowedLocalASNumbers?: number;
  /** hops, 0..255 */
  readonly ttlSecurity?: number;
  readonly reachableBy?: string;
  readonly filters?: readonly string[];
  readonly localWorkloadSelector?: string;
  readonly reversePeering?: 'Auto' | 'Manual';
}

export type BgpPeer = ResourceOf<'BGPPeer', BgpPeerSpec>;

/** Takes a peerIP apart. `port` is absent when none is given. Returns undefined when malformed. */
export function parsePeerIp(
  value: string,
): { readonly address: NonNullable<ReturnType<typeof parseAddress>>; readonly port?: number } | undefined {
  const match = /^(?:([\d.]+)|\[([0-9a-fA-F:.]+)\]):(\d+)$/.exec(value);
  if (match === null) {
    const plain = parseAddress(value);
    return plain && { address: plain };
  }
  const parsed = parseAddress(match[1] ?? match[2] ?? '');
  const port = Number(match[3]);
  return parsed === undefined || port < 1 || port > 65535 ? undefined : { address: parsed, port };
}

const checkPeerIp: TextCheck = (value) =>
  parsePeerIp(value) === undefined
    ? `${show(value)} is not a peer: expected an address, 192.0.2.1:179 or [2001:db8::1]:179 with a port from 1 to 65535`
    : undefined;

const ENTERPRISE = 'a field of Calico Enterprise';

export const bgpPeerSpec = object<BgpPeerSpec>(
  {
    node: optional(text(checkName)),
    nodeSelector: optional(selector()),
    peerIP: optional(text(atMost(64), checkPeerIp)),
    asNumber: optional(asNumber()),
    localASNumber: optional(asNumber()),
    peerSelector: optional(selector()),
    keepOriginalNextHop: optional(boolean()),
    nextHopMode: optional(strictlyOneOf('Auto', 'Self', 'Keep')),
    password: optional(bgpPassword),
    sourceAddress: optional(oneOf('UseNodeIP', 'None')),
    maxRestartTime: optional(duration()),
    keepaliveTime: optional(duration()),
    numAllowedLocalASNumbers: optional(integer(-2147483648, 2147483647)),
    ttlSecurity: optional(integer(0, 255)),
    reachableBy: optional(address()),
    filters: optional(list(name())),
    localWorkloadSelector: optional(selector()),
    reversePeering: optional(strictlyOneOf('Auto', 'Manual')),
  },
  checkPeer,
  {
    failureDetectionMode: `${ENTERPRISE}: for BFD set the annotation ocicat.dev/bfd`,
    restartMode: `${ENTERPRISE}: set the annotations ocicat.dev/graceful-restart and ocicat.dev/long-lived-graceful-restart`,
    birdGatewayMode: `${ENTERPRISE}: next hops that are on no link are found by other routes without it`,
    externalNetwork: `${ENTERPRISE}: leave it out`,
  },
);

function checkPeer(value: BgpPeerSpec, path: string, problems: Problems): void {
  const exclude = (a: keyof BgpPeerSpec, b: keyof BgpPeerSpec): void => {
    if (value[a] !== undefined && value[b] !== undefined) {
      problems.add(`${path}.${b}`, `${a} and ${b} cannot both be set`);
    }
  };
  exclude('node', 'nodeSelector');
  exclude('peerIP', 'peerSelector');
  exclude('peerIP', 'localWorkloadSelector');
  exclude('peerSelector', 'localWorkloadSelector');
  if (value.peerSelector !== undefined && (value.asNumber ?? 0) !== 0) {
    problems.add(`${path}.asNumber`, 'must be empty when peerSelector is set: the nodes have their own');
  }
  if (value.localWorkloadSelector !== undefined && (value.asNumber ?? 0) === 0) {
    problems.add(`${path}.asNumber`, 'is required when localWorkloadSelector is set');
  }
  if (value.keepOriginalNextHop === true) exclude('keepOriginalNextHop', 'nextHopMode');
  if (value.reachableBy !== undefined) {
    if (value.peerIP === undefined) {
      problems.add(`${path}.reachableBy`, 'must be empty when peerIP is empty');
    } else if (parsePeerIp(value.peerIP)?.address.family !== parseAddress(value.reachableBy)?.family) {
      problems.add(`${path}.reachableBy`, 'reachableBy and peerIP must be of the same address family');
    }
  }
}

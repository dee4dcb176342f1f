/**
 * Makes or mends an endpoint's pair, whatever of it is there: nothing, a half of an earlier life, all of it; made by us inside the container,
 * or handed to another program that takes its end there (handed-link.ts). The host end's going up is left to others.
 */
import type { LinkMessage } from '../netlink/link-message.ts';
import { IFF } from '../netlink/registry.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { limitSending } from './bandwidth.ts';
import { openInside, setUpContainerEnd } from './container-end.ts';
import { EndpointError } from './endpoint-error.ts';
import { findHandedEnd, findHandedEndByMac, finishHandedEnd, nextInterfaceName } from './handed-link.ts';
import type { HostEnds } from './host-ends.ts';
import { findLink, setLinkMtu } from './link.ts';
import { containerMac, type EndpointSpec } from './plan.ts';

/** A prepared attachment. */
export interface PreparedEndpoint {
  readonly hostIfname: string;
  readonly hostIfindex: number;
  readonly containerIfname: string;
  readonly containerIfindex: number;
  readonly containerMac: Uint8Array;
  /** false when the pair was there already */
  readonly isNew: boolean;
  /** whether the host end was up already: policy must have reached it in an earlier life */
  readonly isUp: boolean;
  /** what is still another program's to do with the container end: to take it, or to set it up; always `nothing` unless it is handed */
  readonly awaits: 'taking' | 'set-up' | 'nothing';
}

/** Prepares an endpoint whose specification is right. Throws an EndpointError or a NetlinkError. */
export function prepareEndpoint(hosts: HostEnds, spec: EndpointSpec): PreparedEndpoint {
  if (spec.isHanded === true) return prepareHanded(hosts, spec);
  const inside = openInside(spec);
  try {
    return prepareInside(hosts, spec, inside);
  } finally {
    inside.close();
  }
}

/** Both ends are ours. */
function prepareInside(hosts: HostEnds, spec: EndpointSpec, inside: NetlinkSocket): PreparedEndpoint {
  const hostIfname = hosts.nameOf(spec.id);
  const containerIfname = spec.containerIfname ?? 'eth0';
  let host = hosts.findOurs(hostIfname);
  let container = findLink(inside, containerIfname);
  if (host === undefined && container !== undefined) host = hosts.reclaim(spec, container);
  const isPair =
    host !== undefined && container?.peerIfindex === host.ifindex && host.peerIfindex === container.ifindex;
  if (host !== undefined && !isPair) {
    // Of an earlier namespace of the same container.
    hosts.delete(host);
    host = undefined;
    container = findLink(inside, containerIfname);
  }
  const isNew = host === undefined;
  if (isNew) {
    if (container !== undefined) {
      throw new EndpointError(
        'interface-exists',
        `endpoint ${spec.id}: ${spec.netns} has an interface ${containerIfname} already; remove it or choose another name`,
      );
    }
    hosts.createPair(spec, containerIfname);
    host = hosts.find(hostIfname);
    container = findLink(inside, containerIfname);
  }
  if (host === undefined || container === undefined) throw vanished(spec, hostIfname);

  hosts.setUp(spec, host);
  const mac = setUpContainerEnd(spec, inside, container, containerIfname);
  hosts.leadTo(spec, host.ifindex, mac);
  const egress = spec.bandwidth?.egress;
  if (egress !== undefined) limitSending(inside, container.ifindex, egress);
  return {
    hostIfname,
    hostIfindex: host.ifindex,
    containerIfname,
    containerIfindex: container.ifindex,
    containerMac: mac,
    isNew,
    isUp: (host.flags & IFF.UP) !== 0,
    awaits: 'nothing',
  };
}

function prepareHanded(hosts: HostEnds, spec: EndpointSpec): PreparedEndpoint {
  const hostIfname = hosts.nameOf(spec.id);
  const found = hosts.findOurs(hostIfname);
  if (found === undefined && spec.isAwaited !== true) return prepareLost(hosts, spec);
  if (found === undefined) hosts.createWaitingPair(spec);
  const waitingIfname = hosts.waitingNameOf(spec.id);
  const waiting = hosts.find(waitingIfname);
  if (found !== undefined && waiting === undefined) return prepareTaken(hosts, spec, found);
  const host = found ?? hosts.find(hostIfname);
  if (host === undefined) throw vanished(spec, hostIfname);
  return {
    ...prepareOutside(hosts, spec, host, waitingIfname),
    isNew: found === undefined,
    awaits: 'taking',
  };
}

/** Nobody hands an interface into a running container a second time: it is made there. */
function prepareLost(hosts: HostEnds, spec: EndpointSpec): PreparedEndpoint {
  let inside: NetlinkSocket;
  try {
    inside = openInside(spec);
  } catch (error) {
    const message = `its interface is gone, and cannot be made anew: restart the container (${spec.netns} cannot be entered)`;
    throw new EndpointError('no-netns', message, error);
  }
  try {
    // Still there when its host end has another name.
    const end = findHandedEndByMac(inside, spec.mac ?? containerMac(spec.id));
    const containerIfname = end?.name ?? spec.containerIfname ?? nextInterfaceName(inside);
    return prepareInside(hosts, { ...spec, containerIfname }, inside);
  } finally {
    inside.close();
  }
}

function prepareTaken(hosts: HostEnds, spec: EndpointSpec, host: LinkMessage): PreparedEndpoint {
  let inside: NetlinkSocket;
  try {
    inside = openInside(spec);
  } catch {
    // The end is in a namespace that we do not see: all is well as long as nothing has to be mended there.
    return prepareOutside(hosts, spec, host, spec.containerIfname ?? 'eth0');
  }
  try {
    const end = findHandedEnd(inside, host.ifindex);
    if (end === undefined) {
      const message = `its interface is not in ${spec.netns} any more: restart the container`;
      throw new EndpointError('no-netns', message);
    }
    const isFinished = finishHandedEnd(inside, end, spec);
    if (!isFinished && spec.isAwaited !== true)
      return prepareInside(hosts, { ...spec, containerIfname: end.name }, inside);
    if (isFinished) setLinkMtu(inside, end, spec.mtu);
    return {
      ...prepareOutside(hosts, spec, host, end.name),
      awaits: isFinished ? 'nothing' : 'set-up',
    };
  } finally {
    inside.close();
  }
}

/** The host's side of a pair whose other end is not ours to touch. */
function prepareOutside(
  hosts: HostEnds,
  spec: EndpointSpec,
  host: LinkMessage,
  containerIfname: string,
): PreparedEndpoint {
  const mac = spec.mac ?? containerMac(spec.id);
  hosts.setUp(spec, host);
  hosts.leadTo(spec, host.ifindex, mac);
  return {
    hostIfname: host.name,
    hostIfindex: host.ifindex,
    containerIfname,
    containerIfindex: host.peerIfindex,
    containerMac: mac,
    isNew: false,
    isUp: (host.flags & IFF.UP) !== 0,
    awaits: 'nothing',
  };
}

function vanished(spec: EndpointSpec, hostIfname: string): EndpointError {
  return new EndpointError(
    'kernel',
    `endpoint ${spec.id}: the pair ${hostIfname} vanished while it was made`,
  );
}

/** RTM_NEWNETCONF: the kernel's word that a forwarding sysctl of an interface changed, whoever changed it. */
import type { Family } from '../../src/net/address.ts';
import { AttributeCursor, type MessageBody } from './reader.ts';
import { AF_INET, AF_INET6, NETCONFA } from './registry.ts';

/** One change; fields that the message does not carry are absent. */
export interface NetconfMessage {
  readonly family: Family;
  /** NETCONFA_IFINDEX.ALL (-1) and DEFAULT (-2) for `conf/all` and `conf/default` */
  readonly ifindex: number;
  readonly forwarding?: boolean;
  readonly rpFilter?: number;
  readonly proxyNeighbour?: boolean;
}

const attributes = new AttributeCursor();

/** Decodes an RTM_NEWNETCONF. Undefined when it is malformed or of another family. */
export function decodeNetconf(message: MessageBody): NetconfMessage | undefined {
  const at = message.bodyStart;
  if (at + 4 > message.bodyEnd) return undefined;
  const family = message.bytes[at];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  let ifindex: number | undefined;
  const changes: { forwarding?: boolean; rpFilter?: number; proxyNeighbour?: boolean } = {};
  attributes.reset(message.bytes, message.view, at + 4, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === NETCONFA.IFINDEX) ifindex = attributes.i32();
    else if (attributes.type === NETCONFA.FORWARDING) changes.forwarding = attributes.i32() !== 0;
    else if (attributes.type === NETCONFA.RP_FILTER) changes.rpFilter = attributes.i32();
    else if (attributes.type === NETCONFA.PROXY_NEIGH) changes.proxyNeighbour = attributes.i32() !== 0;
  }
  if (ifindex === undefined) return undefined;
  return { family: family === AF_INET ? 'ipv4' : 'ipv6', ifindex, ...changes };
}

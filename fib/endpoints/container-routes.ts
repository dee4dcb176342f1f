/**
 * Routes inside the container: to the gateway, and the default through it. Where another interface has the default route already, ours go
 * into a table of their own, and a rule sends what comes from our addresses there: so several networks can serve one container.
 */
import { type Address, addressesEqual, type Family, formatAddress } from '../../src/net/address.ts';
import { NetlinkError } from '../netlink/error-message.ts';
import { AF_INET, AF_INET6, NLM_F, RT_SCOPE, RT_TABLE_MAIN, RTM, RTN, RTNH_F } from '../netlink/registry.ts';
import { decodeRoute, RouteRecord, writeRoute, writeRouteDump } from '../netlink/route-message.ts';
import {
  decodeSourceRule,
  type SourceRule,
  writeRuleDump,
  writeSourceRule,
} from '../netlink/rule-message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { GATEWAYS } from './plan.ts';

const EEXIST = 17;
const ENOENT = 2;
/** rtnetlink's number for routes that an administrator or a program made: inside the container the routes are the container's own. */
const RTPROT_BOOT = 3;
/** A second interface's table is this plus its index. */
const FIRST_TABLE = 1_000_000;
const RULE_PRIORITY = 1000;

/** Whose the container's default route of a family is. */
export type DefaultRoute = 'ours' | 'none' | 'foreign';

/** Reads whose the default route in the main table is. */
export function defaultRouteOf(inside: NetlinkSocket, family: Family, ifindex: number): DefaultRoute {
  const found = defaultsOf(inside, family, RT_TABLE_MAIN);
  if (found.includes(ifindex)) return 'ours';
  return found.length === 0 ? 'none' : 'foreign';
}

/**
 * Puts in what is missing. `own`: the interface's addresses. False when another interface has the default route and the namespace may not
 * be shared; nothing was done then. Throws a NetlinkError.
 */
export function setContainerRoutes(
  inside: NetlinkSocket,
  family: Family,
  ifindex: number,
  own: readonly Address[],
  mayShare: boolean,
): boolean {
  const present = defaultRouteOf(inside, family, ifindex);
  if (present === 'foreign' && !mayShare) return false;
  const table = present === 'foreign' ? FIRST_TABLE + ifindex : RT_TABLE_MAIN;
  const af = afOf(family);
  const gateway = GATEWAYS[family].bytes;
  const fields = { type: RTN.UNICAST, table, protocol: RTPROT_BOOT, metric: 0 };
  if (family === 'ipv4') {
    const word = new DataView(gateway.buffer, gateway.byteOffset).getInt32(0);
    inside.request(`add the route to ${formatAddress(GATEWAYS.ipv4)}`, (writer) => {
      const nextHops = [{ ifindex, weight: 1, flags: 0 }];
      const flags = NLM_F.CREATE | NLM_F.REPLACE;
      writeRoute(writer, RTM.NEWROUTE, flags, af, 32, word, 0, 0, 0, {
        ...fields,
        scope: RT_SCOPE.LINK,
        nextHops,
      });
    });
  }
  const verdict = inside.tryRequest((writer) => {
    const nextHops = [{ ifindex, weight: 1, flags: RTNH_F.ONLINK, gateway }];
    const flags = NLM_F.CREATE | NLM_F.EXCL;
    writeRoute(writer, RTM.NEWROUTE, flags, af, 0, 0, 0, 0, 0, {
      ...fields,
      scope: RT_SCOPE.UNIVERSE,
      nextHops,
    });
  });
  if (verdict.errno !== 0 && verdict.errno !== EEXIST)
    throw new NetlinkError(`add the ${family} default route`, verdict.errno, verdict.text);
  setRules(inside, family, FIRST_TABLE + ifindex, present === 'foreign' ? own : []);
  return true;
}

/** Which routes and rules of an interface are missing, in words. Throws a NetlinkError. */
export function missingContainerRoutes(
  inside: NetlinkSocket,
  family: Family,
  ifindex: number,
  own: readonly Address[],
): string[] {
  const missing: string[] = [];
  const isMain = defaultRouteOf(inside, family, ifindex) === 'ours';
  const table = isMain ? RT_TABLE_MAIN : FIRST_TABLE + ifindex;
  if (!isMain && !defaultsOf(inside, family, table).includes(ifindex))
    missing.push(`the ${family} default route is missing`);
  if (family === 'ipv4' && !hasGatewayRoute(inside, table, ifindex)) {
    missing.push(`the route to ${formatAddress(GATEWAYS.ipv4)} is missing`);
  }
  if (isMain) return missing;
  const rules = rulesOf(inside, family, table);
  for (const address of own) {
    if (rules.some(({ source }) => addressesEqual(source, address))) continue;
    missing.push(`the routing rule for what comes from ${formatAddress(address)} is missing`);
  }
  return missing;
}

/** Takes away the rules of an interface, which do not go with it. `ifindex`: inside the container. Throws a NetlinkError. */
export function removeContainerRules(inside: NetlinkSocket, family: Family, ifindex: number): void {
  setRules(inside, family, FIRST_TABLE + ifindex, []);
}

function setRules(inside: NetlinkSocket, family: Family, table: number, own: readonly Address[]): void {
  const present = rulesOf(inside, family, table);
  const wanted = own.filter((address) => address.family === family);
  for (const rule of present) {
    if (wanted.some((address) => addressesEqual(address, rule.source))) continue;
    const write = (writer: Parameters<typeof writeSourceRule>[0]): void =>
      writeSourceRule(writer, 'delete', rule);
    inside.request('remove a routing rule', write, [ENOENT]);
  }
  for (const source of wanted) {
    if (present.some((rule) => addressesEqual(rule.source, source))) continue;
    const write = (writer: Parameters<typeof writeSourceRule>[0]): void =>
      writeSourceRule(writer, 'add', { source, table, priority: RULE_PRIORITY });
    inside.request(`add the routing rule for ${formatAddress(source)}`, write, [EEXIST]);
  }
}

function rulesOf(inside: NetlinkSocket, family: Family, table: number): SourceRule[] {
  return inside
    .dumpList('read the routing rules', (writer) => writeRuleDump(writer, afOf(family)), decodeSourceRule)
    .filter((rule) => rule.table === table);
}

/** Interface indexes of the default routes of a table. */
function defaultsOf(inside: NetlinkSocket, family: Family, table: number): number[] {
  const record = new RouteRecord();
  return readRoutes(inside, family, table, (message) =>
    decodeRoute(message, record) && record.length === 0 && record.type === RTN.UNICAST
      ? record.ifindex
      : undefined,
  );
}

function hasGatewayRoute(inside: NetlinkSocket, table: number, ifindex: number): boolean {
  const record = new RouteRecord();
  const { bytes } = GATEWAYS.ipv4;
  const word = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0);
  return readRoutes(
    inside,
    'ipv4',
    table,
    (message) =>
      (decodeRoute(message, record) &&
        record.length === 32 &&
        record.w0 === word &&
        record.ifindex === ifindex) ||
      undefined,
  ).includes(true);
}

function readRoutes<T>(
  inside: NetlinkSocket,
  family: Family,
  table: number,
  decode: Parameters<typeof inside.dumpList<T>>[2],
): T[] {
  try {
    return inside.dumpList(
      'read the routes',
      (writer) => writeRouteDump(writer, RTM.GETROUTE, afOf(family), table, 0),
      decode,
    );
  } catch (error) {
    // A table that never had a route.
    if (error instanceof NetlinkError && error.errno === ENOENT) return [];
    throw error;
  }
}

function afOf(family: Family): number {
  return family === 'ipv4' ? AF_INET : AF_INET6;
}

/** Routes as the checks expect them and as the lab sees them, and the comparison of the two. Pure. */
import { formatAddress, isLinkLocal, parseAddress } from '../../src/net/address.ts';
import { formatPrefix, parsePrefix, prefixContains } from '../../src/net/prefix.ts';

/** A way that a route takes; either part may be unknown or absent. */
export interface SeenHop {
  readonly via?: string;
  readonly dev?: string;
}

/** A route that was seen in a kernel or in a router's table. */
export interface SeenRoute {
  readonly prefix: string;
  /** unicast, or blackhole and the like. */
  readonly type: string;
  readonly hops: readonly SeenHop[];
  /** AS_PATH, where it is known. */
  readonly asPath?: readonly number[];
}

/** What is expected of one route, or of `count` routes inside a prefix. */
export interface ExpectedRoute {
  readonly prefix?: string | undefined;
  readonly within?: string | undefined;
  readonly length?: number | undefined;
  /** How many routes fit; 1 unless said. */
  readonly count?: number | undefined;
  /** unicast unless said. */
  readonly type?: string | undefined;
  /** The next hops, all of them, in any order. A link-local next hop stands for the neighbor when `dev` fits. */
  readonly via?: readonly string[] | undefined;
  /** The device of every hop; `*` at the end stands for anything. */
  readonly dev?: string | undefined;
  readonly asPath?: readonly number[] | undefined;
}

/**
 * Compares routes seen with routes expected. Returns one sentence for each difference: a route expected and not there, a
 * route there and not expected, or one that differs. Empty when all is as expected.
 */
export function compareRoutes(expected: readonly ExpectedRoute[], seen: readonly SeenRoute[]): string[] {
  const problems: string[] = [];
  const unclaimed = new Set(seen);
  for (const want of expected) {
    const candidates = seen.filter((route) => coversPrefix(want, route));
    const fitting = candidates.filter((route) => differences(want, route).length === 0);
    for (const route of candidates) unclaimed.delete(route);
    const count = want.count ?? 1;
    if (fitting.length === count) continue;
    const [other] = candidates.filter((route) => !fitting.includes(route));
    if (other !== undefined) {
      problems.push(`${describeSeen(other)} is there, but ${differences(want, other).join(' and ')}`);
    } else {
      problems.push(`${describeExpected(want)}: expected ${count}, found ${fitting.length}`);
    }
  }
  for (const route of unclaimed) problems.push(`${describeSeen(route)} is there and should not be`);
  return problems;
}

function coversPrefix(want: ExpectedRoute, route: SeenRoute): boolean {
  if (want.prefix !== undefined) return route.prefix === canonicalPrefix(want.prefix);
  const outer = parsePrefix(want.within ?? '');
  const inner = parsePrefix(route.prefix);
  if (outer === undefined || inner === undefined) return false;
  return prefixContains(outer, inner) && (want.length === undefined || inner.length === want.length);
}

function differences(want: ExpectedRoute, route: SeenRoute): string[] {
  const result: string[] = [];
  const type = want.type ?? 'unicast';
  if (route.type !== type) result.push(`its type is ${route.type}, not ${type}`);
  const { dev, via, asPath } = want;
  if (dev !== undefined && !route.hops.every((hop) => matchesDevice(dev, hop.dev))) {
    result.push(`its device is not ${dev}`);
  }
  if (via !== undefined && !sameHops(via, route.hops)) result.push(`it should go via ${via.join(' and ')}`);
  if (asPath !== undefined && (route.asPath ?? []).join(' ') !== asPath.join(' ')) {
    result.push(`its AS path is [${(route.asPath ?? []).join(' ')}], not [${asPath.join(' ')}]`);
  }
  return result;
}

function matchesDevice(pattern: string, device: string | undefined): boolean {
  if (device === undefined) return false;
  return pattern.endsWith('*') ? device.startsWith(pattern.slice(0, -1)) : device === pattern;
}

function sameHops(via: readonly string[], hops: readonly SeenHop[]): boolean {
  if (via.length !== hops.length) return false;
  const rest = new Set(via.map(canonicalAddress));
  let linkLocal = 0;
  for (const hop of hops) {
    if (hop.via === undefined) return false;
    const address = parseAddress(hop.via);
    if (rest.delete(canonicalAddress(hop.via))) continue;
    if (address?.family !== 'ipv6' || !isLinkLocal(address)) return false;
    linkLocal++;
  }
  return rest.size === linkLocal;
}

function canonicalAddress(text: string): string {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address);
}

/** A prefix in its canonical text; a bare address becomes /32 or /128, `default` stays. */
export function canonicalPrefix(text: string): string {
  const address = parseAddress(text);
  const prefix = parsePrefix(
    address === undefined ? text : `${text}/${address.family === 'ipv4' ? 32 : 128}`,
  );
  return prefix === undefined ? text : formatPrefix(prefix);
}

/** One line for a route that was seen. */
export function describeSeen(route: SeenRoute): string {
  const hops = route.hops.map((hop) =>
    [hop.via === undefined ? '' : `via ${hop.via}`, hop.dev === undefined ? '' : `dev ${hop.dev}`]
      .filter((part) => part !== '')
      .join(' '),
  );
  const type = route.type === 'unicast' ? '' : `${route.type} `;
  return `${type}${route.prefix} ${hops.join(', ')}`.trim();
}

function describeExpected(want: ExpectedRoute): string {
  const what = want.prefix ?? `a route of length ${want.length ?? 'any'} inside ${want.within ?? '?'}`;
  const type = want.type === undefined ? '' : `${want.type} `;
  const via = want.via === undefined ? '' : ` via ${want.via.join(' and ')}`;
  return `${type}${what}${via}`;
}

/** Desired routes beside the kernel's, as the API answers them. */
import { setImmediate as turn } from 'node:timers/promises';
import {
  foreignRoutesOfAddress,
  listRoutes,
  listRoutesIn,
  viewOfAddress,
  viewOfPrefix,
} from '../../fib/routes/inspect.ts';
import type { LinkTable } from '../../fib/routes/link-table.ts';
import type { RouteTable } from '../../fib/routes/route-table.ts';
import {
  DEFAULT_METRIC,
  type ForeignRoute,
  type RouteFailure,
  type RouteNextHop,
  type RouteState,
  type RouteTarget,
  type RouteView,
} from '../../fib/routes/types.ts';
import { problem } from '../api/problem.ts';
import type { FibRouteView } from '../api/views.ts';
import { type Address, FAMILIES, formatAddress } from '../net/address.ts';
import { formatPrefix, type Prefix } from '../net/prefix.ts';

/** States by the names that users read. */
const STATES: Readonly<Record<string, RouteState>> = {
  installed: 'installed',
  partial: 'partial',
  pending: 'pending',
  waiting: 'waiting',
  failed: 'failed',
  conflict: 'blocked',
  stale: 'leftover',
  removing: 'removing',
  held: 'held',
};

/** The states of these names. Throws an ApiError (invalid) for a name that is none. */
export function statesOf(names: readonly string[]): ReadonlySet<RouteState> {
  return new Set(
    names.map((name) => {
      const state = Object.hasOwn(STATES, name) ? STATES[name] : undefined;
      if (state === undefined)
        throw problem(
          'invalid',
          `"${name}" is no state of a route: expected ${Object.keys(STATES).join(', ')}`,
        );
      return state;
    }),
  );
}

/** All routes of ours, both families. */
export function* fibRoutes(table: RouteTable): Generator<FibRouteView> {
  for (const family of FAMILIES) for (const view of listRoutes(table, family)) yield ours(table, view);
}

/** Those in one of these states. Others have their turn meanwhile. */
export async function* fibRoutesIn(
  table: RouteTable,
  states: ReadonlySet<RouteState>,
): AsyncGenerator<FibRouteView> {
  for (const family of FAMILIES) {
    for (const view of listRoutesIn(table, family, states)) {
      if (view === undefined) await turn();
      else yield ours(table, view);
    }
  }
}

/** The routes of a prefix: ours and those of others. */
export function fibRoutesOfPrefix(table: RouteTable, prefix: Prefix): FibRouteView[] {
  const view = viewOfPrefix(table, prefix);
  const foreign = table.kernel.foreign[prefix.family];
  const others = view?.foreign ?? foreign.at(foreign.table.findPrefix(prefix));
  return [
    ...(view === undefined ? [] : [ours(table, view)]),
    ...others.map((route) => foreignView(table, route)),
  ];
}

/** The longest match for an address among ours and among others' routes; the kernel uses the longer of the two. */
export function fibRoutesOfAddress(table: RouteTable, address: Address): FibRouteView[] {
  const view = viewOfAddress(table, address);
  const others = foreignRoutesOfAddress(table, address).filter(
    (route) => view === undefined || route.prefix.length >= view.prefix.length,
  );
  return [
    ...(view === undefined ? [] : [ours(table, view)]),
    ...others.map((route) => foreignView(table, route)),
  ];
}

/**
 * `via 10.0.0.1 dev eth1`, `dev eth1`, several joined by commas, with their weights where these are not all the same; the kind for routes that
 * lead nowhere.
 */
export function targetText(links: LinkTable, target: RouteTarget | undefined): string {
  if (target === undefined) return '';
  return target.kind === 'unicast' ? hopTexts(links, target.nextHops).join(', ') : target.kind;
}

function hopTexts(links: LinkTable, hops: readonly RouteNextHop[]): string[] {
  const isWeighted = hops.some(({ weight }) => (weight ?? 1) !== (hops[0]?.weight ?? 1));
  return hops.map((hop) => `${hopText(links, hop)}${isWeighted ? ` weight ${hop.weight ?? 1}` : ''}`);
}

function hopText(links: LinkTable, { gateway, ifindex }: RouteNextHop): string {
  const device = `dev ${links.get(ifindex)?.name ?? `#${ifindex}`}`;
  return gateway === undefined ? device : `via ${formatAddress(gateway)} ${device}`;
}

/** Why a next hop carries nothing. */
function whyOut(links: LinkTable, { ifindex }: RouteNextHop): string {
  const link = links.get(ifindex);
  if (link === undefined) return 'no such interface';
  if (!link.isUp) return 'interface down';
  return link.hasCarrier ? 'neighbor down' : 'no carrier';
}

function failureText({ code, text, attempts }: RouteFailure): string {
  return `${code}${text === '' ? '' : `: ${text}`} (${attempts} ${attempts === 1 ? 'attempt' : 'attempts'})`;
}

/** `static via 10.0.0.1 dev eth1 metric 0` */
export function foreignText(links: LinkTable, { owner, nextHops, kind, metric }: ForeignRoute): string {
  return `${owner} ${hopTexts(links, nextHops).join(', ') || kind} metric ${metric}`;
}

function ours(table: RouteTable, view: RouteView): FibRouteView {
  const { links } = table.kernel;
  const target = view.desired ?? view.kernel;
  const { failure, out = [] } = view;
  const kernel = targetText(links, view.kernel);
  const behind = view.foreign.map((route) => foreignText(links, route));
  const error = failure && failureText(failure);
  const missing = out.map((hop) => `${hopText(links, hop)}: ${whyOut(links, hop)}`);
  const absent = missing.length === 0 ? undefined : `not ${missing.join(', not ')}`;
  const conflict =
    view.state === 'blocked'
      ? `the kernel has a route of ${view.foreign.map(({ owner }) => owner).join(', ')} with the same metric`
      : undefined;
  const held = view.state === 'held' ? 'nearly all learned routes would go without a known cause' : undefined;
  const reason = error ?? conflict ?? held ?? absent;
  return {
    prefix: formatPrefix(view.prefix),
    family: view.prefix.family,
    kind: target?.kind ?? 'unicast',
    source: view.source ?? 'none',
    state: Object.keys(STATES).find((name) => STATES[name] === view.state) ?? view.state,
    nextHops: hopTexts(links, target?.nextHops ?? []),
    kernel: [kernel, ...behind].filter((text) => text !== '').join('; ') || '-',
    metric: target?.metric ?? DEFAULT_METRIC,
    table: table.kernel.table,
    ...(out.length === 0 ? {} : { out: out.map((hop) => hopText(links, hop)) }),
    ...(failure === undefined ? {} : { attempts: failure.attempts }),
    ...(reason === undefined ? {} : { error: reason }),
  };
}

function foreignView(table: RouteTable, route: ForeignRoute): FibRouteView {
  const hops = hopTexts(table.kernel.links, route.nextHops);
  return {
    prefix: formatPrefix(route.prefix),
    family: route.prefix.family,
    kind: route.kind,
    source: route.owner,
    state: 'foreign',
    nextHops: [],
    kernel: hops.join(', ') || route.kind,
    metric: route.metric,
    table: table.kernel.table,
  };
}

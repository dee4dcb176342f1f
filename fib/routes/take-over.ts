/** An operator's word that a prefix is ours: foreign routes that keep ours out of the kernel, or win over it, make room. Never done unasked. */
import type { Prefix } from '../../src/net/prefix.ts';
import { errnoName } from '../netlink/error-message.ts';
import { AF_INET, AF_INET6, RTM, RTN } from '../netlink/registry.ts';
import { writeRouteDeletion } from '../netlink/route-message.ts';
import { viewOfPrefix } from './inspect.ts';
import type { RouteTable } from './route-table.ts';
import type { ForeignRoute } from './types.ts';

const ESRCH = 3;
const RTPROT_KERNEL = 2;

/** What `takeOver` did: the foreign routes that make room, or why none does. */
export type TakeOverResult =
  | { readonly ok: true; readonly taken: readonly ForeignRoute[] }
  | { readonly ok: false; readonly reason: string };

/**
 * Takes a prefix that we want over from others. A foreign route with our metric is replaced by ours without a gap; one with a lower metric is
 * deleted, once ours stands behind it. Routes of the kernel itself (addresses, connected subnets) are never touched. The write itself
 * follows with the next `apply`.
 */
export function takeOver(table: RouteTable, prefix: Prefix): TakeOverResult {
  const view = viewOfPrefix(table, prefix);
  if (view?.desired === undefined) return { ok: false, reason: 'we have no route for it' };
  const metric = view.desired.metric ?? 0;
  const inTheWay = view.foreign.filter((route) => route.metric <= metric);
  if (inTheWay.length === 0) return { ok: false, reason: 'no route of others is in the way' };
  const kernels = inTheWay.find(
    ({ protocol, kind }) =>
      protocol === RTPROT_KERNEL || kind === 'local' || kind === 'broadcast' || kind === 'other',
  );
  if (kernels !== undefined)
    return { ok: false, reason: "the kernel's own route for an address of this host stands there" };
  const blocking = inTheWay.filter((route) => route.metric === metric);
  const winning = inTheWay.filter((route) => route.metric < metric);
  if (winning.length > 0 && blocking.length === 0 && view.state !== 'installed' && view.state !== 'partial')
    return { ok: false, reason: `ours is not in the kernel yet (${view.state})` };
  // Of several with our metric the first is replaced, the others would stay behind ours.
  const deleted = [...winning, ...blocking.slice(1)];
  try {
    for (const route of deleted) {
      const refusal = deleteForeign(table, route);
      if (refusal !== undefined) return { ok: false, reason: refusal };
    }
  } finally {
    // What our own socket asks for is not announced to us.
    if (deleted.length > 0) table.kernel.readAgain();
  }
  if (blocking.length > 0) table.seize(prefix);
  return { ok: true, taken: inTheWay };
}

function deleteForeign(table: RouteTable, route: ForeignRoute): string | undefined {
  const { kernel } = table;
  const foreign = kernel.foreign[route.prefix.family];
  const isIpv4 = route.prefix.family === 'ipv4';
  const id = foreign.table.findPrefix(route.prefix);
  const word = (index: number): number => (index === 0 || !isIpv4 ? foreign.table.wordOf(id, index) : 0);
  const verdict = kernel.socket.tryRequest((writer) => {
    writeRouteDeletion(
      writer,
      isIpv4 ? AF_INET : AF_INET6,
      route.prefix.length,
      word(0),
      word(1),
      word(2),
      word(3),
      { table: kernel.table, protocol: route.protocol, metric: route.metric, type: RTN.UNSPEC },
      RTM.DELROUTE,
    );
  });
  if (verdict.errno === 0 || verdict.errno === ESRCH) return undefined;
  return `the kernel refuses to delete the route of ${route.owner}: ${errnoName(verdict.errno)}${verdict.text === '' ? '' : ` (${verdict.text})`}`;
}

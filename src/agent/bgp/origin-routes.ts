/** The originator's side of the kernel: what it asks of the FIB programmer, and which of the kernel's announcements it is told of. */

import { AF_INET } from '../../../fib/netlink/registry.ts';
import type { FibProgrammer } from '../../../fib/programmer.ts';
import { viewOfPrefix } from '../../../fib/routes/inspect.ts';
import type { KernelListener } from '../../../fib/routes/kernel-watch.ts';
import { addressBits } from '../../net/address.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Originator } from './originator.ts';

type RouteAnnouncement = Parameters<NonNullable<KernelListener['ownRoute']>>[0];

/** What is asked. */
export interface OriginRoutes {
  /** whether the route stands in the kernel as desired */
  isInstalled(prefix: Prefix): boolean;
  /** The container's link on this host that an address of its own leads to. A block leads nowhere: it is a blackhole (as in Calico). */
  linkTo(prefix: Prefix): string | undefined;
  setBlackhole(block: Prefix): void;
  removeBlackhole(block: Prefix): void;
}

/** As this host's programmer has it. */
export function originRoutes(fib: FibProgrammer): OriginRoutes {
  const { routes, kernel } = fib;
  return {
    isInstalled: (prefix) => fib.isInstalled(prefix),
    linkTo: (prefix) => {
      if (prefix.length < addressBits(prefix.family)) return undefined;
      const view = viewOfPrefix(routes, prefix);
      const [hop] = view?.source === 'endpoint' ? (view.desired?.nextHops ?? []) : [];
      return hop && kernel.links.get(hop.ifindex)?.name;
    },
    setBlackhole: (block) => routes.setRoute(block, 'block', { kind: 'blackhole', nextHops: [] }),
    removeBlackhole: (block) => routes.removeRoute(block, 'block'),
  };
}

/** Tells the originator what the kernel announces of its routes and their links, and when route work is done; returns what ends that. */
export function followRoutes(fib: FibProgrammer, originator: Originator): () => void {
  const { routes, kernel } = fib;
  let isReadingAll = false;
  const concerned = (record: RouteAnnouncement): void => {
    if (isReadingAll) return;
    const { table, localIds } = routes.families[record.family === AF_INET ? 'ipv4' : 'ipv6'];
    const id = table.find(record.length, record.w0, record.w1, record.w2, record.w3);
    if (id >= 0 && localIds.has(id)) originator.doubt(table.prefixOf(id));
  };
  const endListening = kernel.listen({
    ownRoute: concerned,
    foreignRoute: concerned,
    link: (before, after) => {
      if (before === undefined) return;
      originator.doubtLink(before.name);
      if (after !== undefined && after.name !== before.name) originator.renameLink(before.name);
    },
    readStart: () => {
      isReadingAll = true;
    },
    readEnd: () => {
      isReadingAll = false;
      originator.doubtAll();
    },
  });
  const endApplied = fib.onApplied(() => originator.applied());
  return () => {
    endListening();
    endApplied();
  };
}

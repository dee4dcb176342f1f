/**
 * Follows what the kernel announces about one table's routes and the interfaces below them, into the columns of a `RouteTable`: who took
 * away or changed what is ours, what went silently with its interface, what may be tried again.
 */
import { addressesEqual, FAMILIES, type Family } from '../../src/net/address.ts';
import { AF_INET } from '../netlink/registry.ts';
import type { RouteRecord } from '../netlink/route-message.ts';
import { doubtful, type FamilyRoutes, FLAG, NONE, perhaps, UNKNOWN } from './family-routes.ts';
import { hasIpv4, type KernelListener, type KernelWatch, losesIpv4 } from './kernel-watch.ts';
import type { Link, LinkAddress } from './link-table.ts';
import type { TargetTable } from './targets.ts';

/** What the follower needs of its route table. */
export interface FollowerDependencies {
  readonly kernel: KernelWatch;
  readonly targets: TargetTable;
  readonly families: Readonly<Record<Family, FamilyRoutes>>;
  /** whether a target in the kernel is what is wanted at a prefix */
  isWanted(routes: FamilyRoutes, id: number, kernel: number): boolean;
  /** deletes an undesired kernel route if its kind has been swept */
  doomIfSwept(routes: FamilyRoutes, id: number): void;
  /** puts a prefix to work; `isInterference`: somebody changed what was as desired */
  repair(routes: FamilyRoutes, id: number, isInterference: boolean): void;
  announceWork(): void;
  /** an address of this host that routes have as preferred source is gone */
  sourceLost(address: Uint8Array): void;
}

/** The kernel's side of a route table's bookkeeping. */
export class KernelFollower implements KernelListener {
  readonly #deps: FollowerDependencies;
  #isReadingAll = false;

  constructor(dependencies: FollowerDependencies) {
    this.#deps = dependencies;
  }

  drained(): void {
    this.#deps.announceWork();
  }

  ownRoute(record: RouteRecord, isDeletion: boolean): void {
    const target = this.#deps.targets.internRecord(record);
    if (target === undefined) return;
    const routes = this.#deps.families[record.family === AF_INET ? 'ipv4' : 'ipv6'];
    if (isDeletion) this.#onOwnDeletion(routes, record, target);
    else this.#onOwnPresence(routes, record, target);
  }

  #onOwnDeletion(routes: FamilyRoutes, record: RouteRecord, target: number): void {
    const id = routes.table.find(record.length, record.w0, record.w1, record.w2, record.w3);
    if (id < 0) return;
    const kernel = routes.kernelAt(id);
    const held = perhaps(kernel);
    const extras = routes.extras.get(id);
    if (kernel !== target && extras?.includes(target)) {
      routes.removeExtra(id, target);
    } else if (held >= 0 && this.#deps.targets.get(held).metric !== record.metric) {
      return;
    } else {
      // Of an IPv6 multipath route single next hops may be deleted; the rest is not announced.
      routes.kernel[id] = kernel === target || routes.family === 'ipv4' ? NONE : doubtful(target);
    }
    if (routes.desired(id) >= 0) {
      this.#repair(routes, id, this.#deps.isWanted(routes, id, kernel));
    } else if (routes.kernelAt(id) <= UNKNOWN) {
      this.#deps.doomIfSwept(routes, id);
    } else {
      routes.release(id);
    }
  }

  #onOwnPresence(routes: FamilyRoutes, record: RouteRecord, target: number): void {
    const id = routes.table.intern(record.length, record.w0, record.w1, record.w2, record.w3);
    const kernel = routes.kernelAt(id);
    const wanted = routes.desired(id);
    const held = perhaps(kernel);
    const isSecond = held >= 0 && held !== target && this.#deps.targets.get(held).metric !== record.metric;
    // A second route of ours with another metric: keep the one that is wanted as the route, which has not been met thereby.
    const keepsOld = isSecond && wanted >= 0 && this.#deps.targets.get(wanted).metric !== record.metric;
    if (isSecond) routes.addExtra(id, keepsOld ? target : held);
    if (!keepsOld) {
      routes.kernel[id] = target;
      routes.set(id, FLAG.SEEN);
    }
    if (this.#deps.targets.get(target).isLocal) routes.localIds.add(id);
    if (wanted < 0) {
      this.#deps.doomIfSwept(routes, id);
    } else if (!this.#deps.isWanted(routes, id, routes.kernelAt(id)) || routes.extras.has(id)) {
      this.#repair(routes, id, this.#deps.isWanted(routes, id, kernel));
    }
  }

  foreignRoute(record: RouteRecord, isDeletion: boolean, isReplacement: boolean): void {
    const routes = this.#deps.families[record.family === AF_INET ? 'ipv4' : 'ipv6'];
    const id = routes.table.find(record.length, record.w0, record.w1, record.w2, record.w3);
    if (id < 0) return;
    if (isDeletion) {
      if (routes.has(id, FLAG.BLOCKED)) routes.markDirty(id);
      return;
    }
    const kernel = routes.kernelAt(id);
    if (isReplacement && kernel >= 0 && this.#deps.targets.get(kernel).metric === record.metric) {
      // It took the place of ours, of which the kernel says no word.
      routes.kernel[id] = NONE;
      if (routes.desired(id) >= 0) this.#repair(routes, id, true);
    }
    if (routes.desired(id) >= 0) routes.markDirty(id);
    else routes.release(id);
  }

  link(before: Link | undefined, after: Link | undefined): void {
    if (before !== undefined && losesIpv4(before, after)) this.#doubt('ipv4', before.ifindex);
    if (before?.isUp && !after?.isUp) this.#doubt('ipv6', before.ifindex);
    const isBetter =
      after?.isUp &&
      (!before?.isUp ||
        after.addresses.length > before.addresses.length ||
        (after.hasCarrier && !before.hasCarrier));
    if (after !== undefined && isBetter) this.#retryVia(after.ifindex);
    for (const { address } of addressesLacking(before, after))
      this.#doubtPrefsrc(address.family, address.bytes);
    for (const { address } of addressesLacking(after, before))
      this.#retryPrefsrc(address.family, address.bytes);
  }

  /** Routes of which an interface was the last way on may be gone. One of several is only marked dead by the kernel, and revived. */
  #doubt(family: Family, ifindex: number): void {
    const { links } = this.#deps.kernel;
    // One that has lost its last IPv4 address was marked dead before, though it is up.
    const isAlive = (other: number): boolean => {
      const link = links.get(other);
      return link?.isUp === true && (family === 'ipv6' || hasIpv4(link));
    };
    const concerns = (target: number): boolean => {
      const { ifindexes } = this.#deps.targets.get(target);
      return ifindexes.includes(ifindex) && ifindexes.every((other) => other === ifindex || !isAlive(other));
    };
    this.#doubtWhere(this.#deps.families[family], this.#deps.targets.hasLearnedVia(ifindex), concerns);
  }

  /** Routes that point to objects which are gone are gone; those that point to changed ones are looked at again. */
  objectsLost(gone: ReadonlySet<number>, changed: ReadonlySet<number>): void {
    const { targets, families } = this.#deps;
    const affected = (ids: ReadonlySet<number>) => (target: number) => ids.has(targets.get(target).nextHopId);
    for (const family of FAMILIES) {
      if (gone.size > 0) this.#doubtWhere(families[family], true, affected(gone));
      if (changed.size > 0) this.#lookAgainWhere(families[family], affected(changed));
    }
  }

  #lookAgainWhere(routes: FamilyRoutes, concerns: (target: number) => boolean): void {
    const verdicts = new Map<number, boolean>();
    forEachId(routes, true, (id) => {
      const kernel = routes.kernelAt(id);
      if (kernel < 0 || routes.desired(id) < 0) return;
      let isConcerned = verdicts.get(kernel);
      if (isConcerned === undefined) {
        isConcerned = concerns(kernel);
        verdicts.set(kernel, isConcerned);
      }
      if (isConcerned) routes.markDirty(id);
    });
  }

  #doubtPrefsrc(family: Family, address: Uint8Array): void {
    if (!this.#deps.targets.hasPrefsrc(address)) return;
    this.#deps.sourceLost(address);
    this.#doubtWhere(this.#deps.families[family], true, (target) => this.#hasSource(target, address));
  }

  /** What was refused for want of its preferred source gets another try. */
  #retryPrefsrc(family: Family, address: Uint8Array): void {
    if (!this.#deps.targets.hasPrefsrc(address)) return;
    const routes = this.#deps.families[family];
    forEachId(routes, true, (id) => {
      if (!routes.has(id, FLAG.FAILED)) return;
      const wanted = routes.desired(id);
      if (wanted >= 0 && this.#hasSource(wanted, address)) routes.markDirty(id);
    });
  }

  #hasSource(target: number, address: Uint8Array): boolean {
    const { prefsrc } = this.#deps.targets.get(target).fields;
    return prefsrc !== undefined && Buffer.compare(prefsrc, address) === 0;
  }

  #doubtWhere(routes: FamilyRoutes, learnedToo: boolean, concerns: (target: number) => boolean): void {
    const verdicts = new Map<number, boolean>();
    forEachId(routes, learnedToo, (id) => {
      const kernel = routes.kernelAt(id);
      if (kernel < 0) return;
      let isConcerned = verdicts.get(kernel);
      if (isConcerned === undefined) {
        isConcerned = concerns(kernel);
        verdicts.set(kernel, isConcerned);
      }
      if (!isConcerned) return;
      routes.kernel[id] = doubtful(kernel);
      if (routes.desired(id) >= 0) routes.markDirty(id);
      else this.#deps.doomIfSwept(routes, id);
    });
  }

  /** What waited for an interface, or was refused, gets another try. */
  #retryVia(ifindex: number): void {
    const { targets, families } = this.#deps;
    for (const family of FAMILIES) {
      const routes = families[family];
      forEachId(routes, targets.hasLearnedVia(ifindex), (id) => {
        if (!routes.has(id, FLAG.WAITING | FLAG.FAILED)) return;
        const wanted = routes.desired(id);
        if (wanted >= 0 && targets.get(wanted).ifindexes.includes(ifindex)) routes.markDirty(id);
      });
    }
  }

  readStart(): void {
    this.#isReadingAll = true;
    for (const family of FAMILIES) {
      const routes = this.#deps.families[family];
      routes.extras.clear();
      for (let id = 0; id < routes.table.idLimit; id++) routes.clear(id, FLAG.SEEN);
    }
  }

  /** What a reading of everything did not meet is not there. */
  readEnd(): void {
    this.#isReadingAll = false;
    for (const family of FAMILIES) {
      const routes = this.#deps.families[family];
      for (let id = 0; id < routes.table.idLimit; id++) {
        if (!routes.table.has(id)) continue;
        if (!routes.has(id, FLAG.SEEN) && routes.kernelAt(id) !== NONE) {
          routes.kernel[id] = NONE;
          if (routes.desired(id) >= 0) routes.markDirty(id);
          else routes.release(id);
        } else if (routes.has(id, FLAG.BLOCKED)) {
          routes.markDirty(id);
        }
      }
    }
    this.#deps.announceWork();
  }

  #repair(routes: FamilyRoutes, id: number, isInterference: boolean): void {
    // A reading meets old states of what was written meanwhile.
    this.#deps.repair(routes, id, isInterference && !this.#isReadingAll);
  }
}

/** The addresses of an interface that it does not have in another state of it. */
function addressesLacking(link: Link | undefined, other: Link | undefined): readonly LinkAddress[] {
  if (link === undefined || link.addresses === other?.addresses) return [];
  return link.addresses.filter(
    ({ address }) => other?.addresses.some((each) => addressesEqual(each.address, address)) !== true,
  );
}

/** Walks the local prefixes, or all: a container's interface must not cost a walk over a full table. */
function forEachId(routes: FamilyRoutes, learnedToo: boolean, visit: (id: number) => void): void {
  if (!learnedToo) {
    for (const id of [...routes.localIds]) visit(id);
    return;
  }
  for (let id = 0; id < routes.table.idLimit; id++) if (routes.table.has(id)) visit(id);
}

/**
 * In which form a wanted target stands in the kernel: with its next hops in the route itself, or as the id of a next-hop object. Forms are targets
 * too, so that "the kernel has what we want" stays one comparison of two numbers. Objects that no route goes by any more are swept away here.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { Verdict } from '../netlink/error-message.ts';
import { type FamilyRoutes, UNKNOWN } from './family-routes.ts';
import type { LinkTable } from './link-table.ts';
import type { NextHopObjects } from './next-hop-objects.ts';
import { MAX_WEIGHT } from './shares.ts';
import type { InternedTarget, TargetTable } from './targets.ts';

const EADDRNOTAVAIL = 99;

/** `of` and `peek`: not known yet. */
export const NO_FORM = -3;
/** `of`: an interface is down, or a next hop is kept out for a moment. */
export const NOT_NOW = -4;
/** `of`: the kernel refuses the object; `refusal` has its words. */
export const REFUSED = -5;

/** Forms by target id. */
export class TargetForms {
  readonly #targets: TargetTable;
  readonly #objects: NextHopObjects | undefined;
  readonly #links: LinkTable;
  readonly #forms = new Map<number, number>();
  readonly #refusals = new Map<number, Verdict>();
  #hasUnusedObjects = false;
  /** of the last `of` that returned REFUSED */
  refusal: Verdict = { errno: 0, text: '' };

  /** Without objects every target is its own form. */
  constructor(targets: TargetTable, objects: NextHopObjects | undefined, links: LinkTable) {
    this.#targets = targets;
    this.#objects = objects;
    this.#links = links;
  }

  /** The form of a target as far as it is known; makes nothing. */
  peek(target: number): number {
    const known = this.#forms.get(target);
    if (known !== undefined) return known;
    return this.#takesObject(this.#targets.get(target)) ? NO_FORM : target;
  }

  /** The form of a target, for which an object may have to be made; or NOT_NOW, or REFUSED. */
  of(target: number): number {
    const known = this.#forms.get(target);
    if (known !== undefined) return known;
    const entry = this.#targets.get(target);
    if (this.#objects === undefined || !this.#takesObject(entry)) {
      return entry.ifindexes.every((ifindex) => this.#links.isUp(ifindex)) ? target : NOT_NOW;
    }
    if (!entry.ifindexes.every((ifindex) => this.#isUsable(ifindex))) return NOT_NOW;
    if (this.#objects.isSuspended(entry.fields.nextHops)) return NOT_NOW;
    const id =
      this.#refusals.get(target) ?? this.#foreignSource(entry) ?? this.#objects.idFor(entry.fields.nextHops);
    if (typeof id !== 'number') {
      this.#refusals.set(target, id);
      this.refusal = id;
      return REFUSED;
    }
    const form = this.#targets.internObject(entry, id);
    this.#forms.set(target, form);
    return form;
  }

  /** What is refused is asked for again from now on, once each. */
  forgetRefusals(): void {
    this.#refusals.clear();
  }

  /** Objects are gone or lead elsewhere: what went by them needs others. */
  forgetObjects(ids: ReadonlySet<number>): void {
    this.#refusals.clear();
    if (ids.size === 0) return;
    for (const [target, form] of this.#forms) {
      if (ids.has(this.#targets.get(form).nextHopId)) this.#forms.delete(target);
    }
  }

  /** This host has lost an address: what has it as preferred source is looked at again. */
  forgetSource(address: Uint8Array): void {
    for (const target of this.#forms.keys()) {
      const { prefsrc } = this.#targets.get(target).fields;
      if (prefsrc !== undefined && Buffer.compare(prefsrc, address) === 0) this.#forms.delete(target);
    }
  }

  /** Forgets what the target table has forgotten: its ids may mean others from now on. */
  forgetCollected(): void {
    this.#refusals.clear();
    for (const [target, form] of this.#forms) {
      if (!this.#targets.has(target) || !this.#targets.has(form)) this.#forms.delete(target);
    }
  }

  /** A route was replaced or deleted, or an object went: there may be objects that nobody needs any more. */
  noteUnused(): void {
    this.#hasUnusedObjects = true;
  }

  /** Deletes next-hop objects that no route needs any more, if there may be any: for when all work is done. */
  sweepObjects(families: Readonly<Record<Family, FamilyRoutes>>): void {
    if (this.#objects === undefined || this.#objects.size === 0 || !this.#hasUnusedObjects) return;
    const used = new Set<number>();
    const note = (target: number): void =>
      void (target >= 0 && used.add(this.#targets.get(target).nextHopId));
    for (const family of FAMILIES) {
      const routes = families[family];
      for (let id = 0; id < routes.table.idLimit; id++) {
        const kernel = routes.kernelAt(id);
        // Nobody knows what it points to.
        if (kernel <= UNKNOWN) return;
        note(kernel);
      }
      for (const extras of routes.extras.values()) extras.forEach(note);
    }
    this.#hasUnusedObjects = false;
    this.forgetObjects(this.#objects.sweep(used));
  }

  #takesObject({ isLocal, fields }: InternedTarget): boolean {
    if (this.#objects?.isSupported !== true || isLocal || fields.nextHopId !== undefined) return false;
    // Kernels before 6.12 take no weight of 256 in a group, though in a route.
    return fields.nextHops.every(({ gateway, weight }) => gateway !== undefined && weight <= MAX_WEIGHT);
  }

  /** Of an IPv6 route by an object the kernel does not check it, and then sends this host's packets from an address that is not its own. */
  #foreignSource({ target: { prefsrc } }: InternedTarget): Verdict | undefined {
    if (prefsrc?.family !== 'ipv6' || this.#links.owns(prefsrc)) return undefined;
    return { errno: EADDRNOTAVAIL, text: 'the preferred source is no address of this host' };
  }

  #isUsable(ifindex: number): boolean {
    const link = this.#links.get(ifindex);
    return link?.isUp === true && link.hasCarrier;
  }
}

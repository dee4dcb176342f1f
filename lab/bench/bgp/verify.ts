/** The received set, compared with what must have come, path by path, after the clock has stopped. */
import type { Family } from '../../../src/net/address.ts';
import { canonicalForm, expectedForm } from './attributes.ts';
import { LastRoutes, type RouteTable, wordsOf } from './routes.ts';
import { eachNlri, partsOf, UPDATE, uint16 } from './wire.ts';

/** What a device does to what it passes on. */
export interface PassedOn {
  readonly deviceAs: number;
  /** its own address in the family: 4 or 16 octets */
  readonly nextHop: Uint8Array;
}

/** What the UPDATEs of one session leave with the receiver. */
export class ReceivedRoutes {
  readonly #routes: LastRoutes;
  readonly #hasPathIds: boolean;
  readonly #forms: string[] = [];
  readonly #idOfForm = new Map<string, number>();
  /** raw attributes -> form: a set comes in many messages */
  readonly #idOfRun = new Map<string, number>();

  constructor(family: Family, hasPathIds: boolean) {
    this.#routes = new LastRoutes(family);
    this.#hasPathIds = hasPathIds;
  }

  get count(): number {
    return this.#routes.count;
  }

  /** Applies whole messages. */
  apply(octets: Uint8Array): void {
    for (let at = 0; at + 19 <= octets.length; at += uint16(octets, at + 16))
      if (octets[at + 18] === UPDATE) this.#applyOne(octets, at);
  }

  /** What differs from `expected`, in words; undefined when nothing does. */
  difference(expected: RouteTable, passedOn: PassedOn): string | undefined {
    const { count } = this.#routes;
    if (count !== expected.count) return `the receiver has ${count} paths, not ${expected.count}`;
    const acceptable = this.#acceptable(expected, passedOn);
    const size = wordsOf(expected.family);
    const { prefixes } = this.#routes;
    // With ADD-PATH the device numbers the paths anew: those of a prefix are compared as a bag.
    const bags = new Map<number, number[]>();
    for (let index = 0; index < expected.count; index++) {
      const word = (offset: number): number => expected.words[index * size + offset] ?? 0;
      const length = expected.lengths[index] ?? 0;
      const id =
        size === 1
          ? prefixes.find(length, word(0))
          : prefixes.find(length, word(0), word(1), word(2), word(3));
      if (id < 0) return `prefix ${index} of the table has not come`;
      const bag = bags.get(id) ?? this.#routes.of(id).map(([, value]) => value);
      bags.set(id, bag);
      const wanted = acceptable[expected.setOf[index] ?? 0] ?? [];
      const found = bag.findIndex((form) => wanted.includes(form));
      if (found < 0) return this.#wrong(index, expected, passedOn, bag);
      bag.splice(found, 1);
    }
    return undefined;
  }

  #wrong(index: number, expected: RouteTable, { deviceAs, nextHop }: PassedOn, bag: number[]): string {
    const set = expected.sets[expected.setOf[index] ?? 0];
    const wanted = set === undefined ? '' : expectedForm(set, deviceAs, nextHop);
    const got = bag.map((form) => this.#forms[form]).join(' | ');
    return `prefix ${index} of the table: attributes ${got || 'none'}, not ${wanted}`;
  }

  /** By set: the forms that may have come for it. */
  #acceptable({ sets, alternatives }: RouteTable, passedOn: PassedOn): readonly (readonly number[])[] {
    const { deviceAs, nextHop } = passedOn;
    return sets.map((set, index) =>
      [set, ...(alternatives?.[index] ?? [])].flatMap(
        (each) => this.#idOfForm.get(expectedForm(each, deviceAs, nextHop)) ?? [],
      ),
    );
  }

  #applyOne(octets: Uint8Array, at: number): void {
    const parts = partsOf(octets, at);
    const { family } = this.#routes;
    for (const range of parts.withdrawn)
      if (range.family === family)
        eachNlri(octets, range.from, range.to, this.#hasPathIds, (length, pathId, w0, w1, w2, w3) => {
          const id = this.#routes.prefixes.find(length, w0, w1, w2, w3);
          if (id >= 0) this.#routes.delete(id, pathId);
        });
    let form: number | undefined;
    for (const range of parts.announced) {
      if (range.family !== family) continue;
      form ??= this.#formOf(octets, parts.attributesAt, parts.attributesEnd, parts.mpNextHop);
      const value = form;
      eachNlri(octets, range.from, range.to, this.#hasPathIds, (length, pathId, w0, w1, w2, w3) =>
        this.#routes.set(this.#routes.prefixes.intern(length, w0, w1, w2, w3), pathId, value),
      );
    }
  }

  #formOf(octets: Uint8Array, from: number, to: number, mpNextHop: Uint8Array | undefined): number {
    // MP_REACH_NLRI holds the prefixes too: such a run is one of its kind.
    const key =
      mpNextHop === undefined ? Buffer.from(octets.subarray(from, to)).toString('latin1') : undefined;
    const known = key === undefined ? undefined : this.#idOfRun.get(key);
    if (known !== undefined) return known;
    const form = canonicalForm(octets, from, to, mpNextHop);
    let id = this.#idOfForm.get(form);
    if (id === undefined) {
      id = this.#forms.push(form) - 1;
      this.#idOfForm.set(form, id);
    }
    if (key !== undefined) this.#idOfRun.set(key, id);
    return id;
  }
}

/** Our sets in the kernel: keeps them as desired by the fewest member changes, and leaves sets of others alone. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Family } from '../../src/net/address.ts';
import type { KernelSetType } from '../rules/names.ts';
import type { SetMember } from '../rules/types.ts';
import { commandText, type KernelTypeName, type SetCommand, type SetDriver } from './commands.ts';
import { canonicalEntry, MemberSet } from './members.ts';
import type { SavedSet } from './save.ts';

/** A set that is not as desired. Without a name: no set could be read or written. */
export interface SetFailure {
  readonly name: string | undefined;
  readonly reason: string;
}

/** How sets are driven. */
export interface KernelSetsOptions {
  readonly driver: SetDriver;
  /** capacity of new sets; a set that outgrows it is replaced by one of at least twice its need. Default 1048576, as Calico. */
  readonly maxElem?: number;
}

interface DesiredSet {
  readonly family: Family;
  readonly type: KernelSetType;
  members: MemberSet;
  /** what the kernel holds differs by these entries; undefined: the set must be compared or made */
  pending: { readonly add: Set<string>; readonly remove: Set<string> } | undefined;
}

/** A command and the set on whose behalf it stands. */
interface Step {
  readonly name: string;
  readonly command: SetCommand;
}

const KERNEL_TYPES: Readonly<Record<KernelSetType, KernelTypeName>> = {
  net: 'hash:net',
  'ip-port': 'hash:ip,port',
  'net-iface': 'hash:net,iface',
};
const DEFAULT_MAX_ELEM = 1_048_576;
const TEMPORARY_PREFIX = 'oci4-:tmp';
/** A set stays in use for a moment after the last rule that named it is gone. */
const DESTROY_DELAYS_MS = [0, 10, 40];

/** Owns all kernel sets of ours, of both families, by kernel name. Calls of its asynchronous methods must not overlap. */
export class KernelSets {
  readonly #driver: SetDriver;
  readonly #maxElem: number;
  readonly #desired = new Map<string, DesiredSet>();
  readonly #dirty = new Set<string>();
  readonly #failures = new Map<string | undefined, string>();
  /** capacity of our sets that exist, by name; undefined: the kernel must be read */
  #existing: Map<string, number> | undefined;

  constructor(options: KernelSetsOptions) {
    this.#driver = options.driver;
    this.#maxElem = options.maxElem ?? DEFAULT_MAX_ELEM;
  }

  /** Our sets in the kernel, as last read or written. */
  get kernelCount(): number {
    return this.#existing?.size ?? 0;
  }

  /** Makes a set desired with these members (of its family only), or replaces its members. */
  upsert(name: string, family: Family, type: KernelSetType, members: Iterable<SetMember>): void {
    const old = this.#desired.get(name);
    const fresh = new MemberSet(family, type, members);
    let pending: DesiredSet['pending'];
    if (old?.pending) {
      const { members, pending: before } = old;
      const inKernel = (entry: string) =>
        before.remove.has(entry) || (members.has(entry) && !before.add.has(entry));
      pending = {
        add: new Set([...fresh].filter((entry) => !inKernel(entry))),
        remove: new Set([...members, ...before.remove].filter((e) => inKernel(e) && !fresh.has(e))),
      };
    }
    this.#desired.set(name, { family, type, members: fresh, pending });
    this.#dirty.add(name);
  }

  /** Adds and removes members. Does nothing if the set is not desired. */
  change(name: string, added: Iterable<SetMember>, removed: Iterable<SetMember>): void {
    const set = this.#desired.get(name);
    if (set === undefined) return;
    for (const [step, members] of [
      ['remove', removed],
      ['add', added],
    ] as const) {
      for (const member of members) {
        for (const entry of set.members.change(step, set.type, member)) {
          const undoes = set.pending?.[step === 'add' ? 'remove' : 'add'].delete(entry);
          if (undoes === false) set.pending?.[step].add(entry);
        }
      }
    }
    this.#dirty.add(name);
  }

  /** Makes a set no longer desired. It is destroyed by `destroyUnwanted`. */
  remove(name: string): void {
    if (this.#desired.delete(name)) this.#dirty.delete(name);
  }

  /** Forgets what the kernel is believed to hold: the next call reads it again. */
  markDirty(): void {
    this.#existing = undefined;
  }

  /** Whether the set stands in the kernel as desired, as far as is known. */
  isProgrammed(name: string): boolean {
    return (
      this.#desired.has(name) &&
      !this.#dirty.has(name) &&
      !this.#failures.has(name) &&
      !this.#failures.has(undefined)
    );
  }

  /** Reads the kernel and returns the names of sets that are not as desired, and of ours that nobody desires. Writes nothing. */
  async check(): Promise<string[]> {
    const problem = await this.#read();
    if (problem !== undefined) {
      this.#failures.set(undefined, problem);
      return [];
    }
    const drifted = [...this.#desired.keys()].filter((name) => this.#steps(name, 'full').length > 0);
    return [...drifted, ...this.#unwanted()];
  }

  /**
   * Makes and changes sets as desired, in one go; destroys none. `base` only makes sets that are missing. A set that the kernel
   * refuses is left out, listed, and tried again at the next call.
   */
  async apply(mode: 'base' | 'full'): Promise<readonly SetFailure[]> {
    const refused = new Map<string, string>();
    /** sets are written one by one after a failure that does not tell its line */
    let oneByOne = false;
    let wasRead = false;
    for (const name of this.#failures.keys()) if (name !== undefined) this.#dirty.add(name);
    this.#failures.clear();
    for (;;) {
      if (this.#existing === undefined) {
        const problem = await this.#read();
        if (problem !== undefined) {
          this.#failures.set(undefined, problem);
          break;
        }
        wasRead = true;
      }
      if (mode === 'full' && !wasRead && this.#meetsUncompared()) {
        this.#existing = undefined;
        continue;
      }
      let names = [...this.#dirty].filter((name) => this.#desired.has(name) && !refused.has(name));
      let steps = names.flatMap((name) => this.#steps(name, mode));
      const [first] = steps;
      if (first === undefined) {
        this.#commit(names, mode);
        break;
      }
      if (oneByOne) {
        names = [first.name];
        steps = steps.filter((step) => step.name === first.name);
      }
      const refusal = await this.#write(steps, true);
      if (refusal === undefined) {
        this.#commit(names, mode);
        continue;
      }
      // Steps beside the refused one may or may not have taken effect.
      this.#existing = undefined;
      if (!wasRead) continue; // someone may have changed sets since they were read
      const failed = refusal.index === undefined ? undefined : steps[refusal.index];
      if (failed !== undefined) refused.set(failed.name, `${refusal.reason}: ${commandText(failed.command)}`);
      else if (oneByOne) refused.set(first.name, refusal.reason);
      else oneByOne = true;
    }
    for (const [name, reason] of refused) this.#failures.set(name, reason);
    return [...this.#failures].map(([name, reason]) => ({ name, reason }));
  }

  /** Destroys our sets that nobody desires. Those still in use by a rule are returned. */
  async destroyUnwanted(): Promise<readonly SetFailure[]> {
    let failures: SetFailure[] = [];
    for (const delayMs of DESTROY_DELAYS_MS) {
      if (delayMs > 0) await delay(delayMs);
      failures = [];
      let names = this.#unwanted();
      while (names.length > 0) {
        const steps = names.map((set): Step => ({ name: set, command: { verb: 'destroy', set } }));
        const refusal = await this.#write(steps, false);
        const failed = refusal?.index === undefined ? undefined : steps[refusal.index];
        if (refusal !== undefined && failed === undefined) {
          this.#existing = undefined; // some may be gone
          return [{ name: undefined, reason: refusal.reason }];
        }
        const end = refusal?.index ?? steps.length;
        for (const { name } of steps.slice(0, end)) this.#existing?.delete(name);
        if (refusal !== undefined && failed !== undefined) {
          if (refusal.isAbsent) this.#existing?.delete(failed.name);
          else
            failures.push({ name: failed.name, reason: `${refusal.reason}: ${commandText(failed.command)}` });
        }
        names = names.slice(end + 1);
      }
      if (failures.length === 0) break;
    }
    return failures;
  }

  /** Whether a set that became desired after the last reading exists already, with members not looked at. */
  #meetsUncompared(): boolean {
    return [...this.#dirty].some(
      (name) => this.#desired.get(name)?.pending === undefined && this.#existing?.has(name),
    );
  }

  #unwanted(): string[] {
    return [...(this.#existing?.keys() ?? [])].filter((name) => !this.#desired.has(name));
  }

  async #read(): Promise<string | undefined> {
    const saved = await this.#driver.read();
    if ('problem' in saved) return saved.problem;
    this.#existing = new Map([...saved].map(([name, set]) => [name, set.maxElem]));
    for (const [name, set] of this.#desired) {
      set.pending = this.#compare(set, saved.get(name));
      this.#dirty.add(name);
    }
    return undefined;
  }

  #compare(set: DesiredSet, saved: SavedSet | undefined): DesiredSet['pending'] {
    if (saved === undefined || saved.type !== KERNEL_TYPES[set.type]) return undefined;
    if (saved.family !== (set.family === 'ipv4' ? 'inet' : 'inet6')) return undefined;
    const remove = new Set<string>();
    const found = new Set<string>();
    for (const printed of saved.entries) {
      const entry = set.members.has(printed) ? printed : canonicalEntry(set.family, printed);
      if (set.members.has(entry)) found.add(entry);
      else remove.add(printed);
    }
    const add = new Set<string>();
    for (const entry of set.members) if (!found.has(entry)) add.add(entry);
    return { add, remove };
  }

  /** What makes a set as desired. */
  #steps(name: string, mode: 'base' | 'full'): Step[] {
    const set = this.#desired.get(name);
    if (set === undefined) return [];
    const capacity = this.#existing?.get(name);
    const step = (command: SetCommand): Step => ({ name, command });
    const create = (target: string) => step(this.#createCommand(target, set));
    const change = (verb: 'add' | 'del', target: string, entries: Iterable<string>) =>
      Array.from(entries, (entry) => step({ verb, set: target, entry }));

    if (capacity === undefined) return [create(name), ...change('add', name, set.members)];
    if (mode === 'base') return [];
    if (set.pending === undefined) {
      // A stranger under our name, of another type: it cannot be swapped with ours.
      return [step({ verb: 'destroy', set: name }), create(name), ...change('add', name, set.members)];
    }
    if (set.members.size > capacity) {
      const temporary = TEMPORARY_PREFIX;
      return [
        create(temporary),
        step({ verb: 'flush', set: temporary }),
        ...change('add', temporary, set.members),
        step({ verb: 'swap', set: temporary, other: name }),
        step({ verb: 'destroy', set: temporary }),
      ];
    }
    return [...change('del', name, set.pending.remove), ...change('add', name, set.pending.add)];
  }

  #createCommand(name: string, set: DesiredSet): SetCommand {
    const { family, type } = set;
    return {
      verb: 'create',
      set: name,
      type: KERNEL_TYPES[type],
      family,
      maxElem: this.#capacityFor(set),
    };
  }

  #capacityFor(set: DesiredSet): number {
    let capacity = this.#maxElem;
    while (capacity < set.members.size) capacity *= 2;
    return capacity;
  }

  #commit(names: readonly string[], mode: 'base' | 'full'): void {
    for (const name of names) {
      const set = this.#desired.get(name);
      const capacity = this.#existing?.get(name);
      if (set === undefined || (mode === 'base' && capacity !== undefined)) continue;
      const isNew = capacity === undefined || set.pending === undefined || set.members.size > capacity;
      if (isNew) this.#existing?.set(name, this.#capacityFor(set));
      set.pending = { add: new Set(), remove: new Set() };
      this.#dirty.delete(name);
    }
  }

  #write(steps: readonly Step[], isLenient: boolean): ReturnType<SetDriver['write']> {
    return this.#driver.write(
      steps.map(({ command }) => command),
      isLenient,
    );
  }
}

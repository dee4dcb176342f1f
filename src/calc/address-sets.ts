/** Address sets: which members each holds, counted by who brings them in, and what has changed since the last flush. */
import type { PolicyChange, SetId, SetMember } from '../../fib/rules/types.ts';
import type { Item } from './items.ts';
import type { SetDefinition } from './rule-compiler.ts';

interface SetState {
  readonly definition: SetDefinition;
  /** member -> how many items bring it in */
  readonly members: Map<SetMember, number>;
  references: number;
  /** changes since the last flush; undefined while the set has not been announced */
  pending: { readonly added: Set<SetMember>; readonly removed: Set<SetMember> } | undefined;
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

/** What an item brings into a set. */
export function membersOf(item: Item, definition: SetDefinition): readonly SetMember[] {
  const wanted = definition.port;
  if (wanted === undefined) return item.nets;
  const members = new Set<SetMember>();
  for (const port of item.ports) {
    const protocol = PROTOCOL_NAMES[port.protocol];
    if (port.name !== wanted.name || protocol === undefined) continue;
    if (wanted.protocol !== undefined && wanted.protocol !== port.protocol) continue;
    for (const net of item.nets) members.add(`${net.slice(0, net.indexOf('/'))},${protocol}:${port.port}`);
  }
  return [...members];
}

/** Owns the sets that active rules name. */
export class AddressSets {
  readonly #sets = new Map<SetId, SetState>();
  readonly #dirty = new Set<SetId>();
  /** announced sets that have gone, or have been made anew */
  readonly #gone = new Set<SetId>();

  /** Whether the set exists. */
  has(id: SetId): boolean {
    return this.#sets.has(id);
  }

  /** Members of a set now. */
  members(id: SetId): ReadonlySet<SetMember> {
    return new Set(this.#sets.get(id)?.members.keys());
  }

  /** Takes a reference; returns true when the set is new and must be filled. */
  acquire(definition: SetDefinition): boolean {
    const known = this.#sets.get(definition.id);
    if (known !== undefined) {
      known.references++;
      return false;
    }
    this.#sets.set(definition.id, { definition, members: new Map(), references: 1, pending: undefined });
    this.#dirty.add(definition.id);
    return true;
  }

  /** Gives up a reference; returns true when it was the last and the set has gone. */
  release(id: SetId): boolean {
    const set = this.#sets.get(id);
    if (set === undefined || --set.references > 0) return false;
    this.#sets.delete(id);
    this.#dirty.delete(id);
    if (set.pending !== undefined) this.#gone.add(id);
    return true;
  }

  /** Adds what an item brings into a set. */
  add(id: SetId, members: readonly SetMember[]): void {
    const set = this.#sets.get(id);
    if (set === undefined) return;
    for (const member of members) {
      const count = set.members.get(member) ?? 0;
      set.members.set(member, count + 1);
      if (count > 0 || set.pending === undefined) continue;
      if (!set.pending.removed.delete(member)) set.pending.added.add(member);
      this.#dirty.add(id);
    }
  }

  /** Takes away what an item brought into a set. */
  remove(id: SetId, members: readonly SetMember[]): void {
    const set = this.#sets.get(id);
    if (set === undefined) return;
    for (const member of members) {
      const count = set.members.get(member) ?? 0;
      if (count > 1) {
        set.members.set(member, count - 1);
        continue;
      }
      if (!set.members.delete(member) || set.pending === undefined) continue;
      if (!set.pending.added.delete(member)) set.pending.removed.add(member);
      this.#dirty.add(id);
    }
  }

  /** New and changed sets since the last call; then `flushRemoved` gives those that have gone. */
  flushChanged(): PolicyChange[] {
    const changes: PolicyChange[] = [];
    for (const id of this.#dirty) {
      const set = this.#sets.get(id);
      if (set === undefined) continue;
      const { pending, definition } = set;
      set.pending = { added: new Set(), removed: new Set() };
      if (pending === undefined) {
        // Made anew under the same id: the upsert replaces what was announced before.
        this.#gone.delete(id);
        const type = definition.port === undefined ? 'net' : 'ip-port';
        changes.push({ kind: 'set-upsert', id, type, members: new Set(set.members.keys()) });
      } else if (pending.added.size > 0 || pending.removed.size > 0) {
        changes.push({ kind: 'set-delta', id, added: [...pending.added], removed: [...pending.removed] });
      }
    }
    this.#dirty.clear();
    return changes;
  }

  /** Announced sets that no longer exist. */
  flushRemoved(): PolicyChange[] {
    const changes = [...this.#gone].map((id): PolicyChange => ({ kind: 'set-remove', id }));
    this.#gone.clear();
    return changes;
  }
}

/**
 * Paths on their way into messages, those with the same attributes together wherever they came up: entries in columns, in one chain for each
 * set of attributes. Scratch space, for one batch at a time.
 */
import { grownInt32 } from './columns.ts';

const FIRST_ENTRIES = 256;
const FIRST_SLOTS = 1024;

/** Entries are numbered from 0 in the order in which they came, groups in that in which their attributes came first. */
export class PathGroups {
  /** by entry */
  prefix = new Int32Array(FIRST_ENTRIES);
  /** by entry */
  record = new Int32Array(FIRST_ENTRIES);
  /** by entry: the next one of its group, or -1 */
  next = new Int32Array(FIRST_ENTRIES);
  /** by group: attribute id */
  attribute = new Int32Array(FIRST_ENTRIES);
  /** by group: its first entry */
  first = new Int32Array(FIRST_ENTRIES);
  count = 0;
  #entryCount = 0;
  /** by group */
  #last = new Int32Array(FIRST_ENTRIES);
  /** open addressing by attribute id: group + 1, or 0. Smaller than a column by attribute id, and stays in the processor's cache */
  #slots = new Int32Array(FIRST_SLOTS);

  /** Adds an entry; whether it is the first with its attributes. */
  add(prefix: number, record: number, attribute: number): boolean {
    const entry = this.#entryCount++;
    if (entry === this.prefix.length) this.#grow();
    this.prefix[entry] = prefix;
    this.record[entry] = record;
    this.next[entry] = -1;
    const slot = this.#slotOf(attribute);
    const known = (this.#slots[slot] ?? 0) - 1;
    if (known >= 0) {
      this.next[this.#last[known] ?? 0] = entry;
      this.#last[known] = entry;
      return false;
    }
    const group = this.count++;
    this.#slots[slot] = group + 1;
    this.attribute[group] = attribute;
    this.first[group] = entry;
    this.#last[group] = entry;
    return true;
  }

  clear(): void {
    if (this.count > 0) this.#slots.fill(0);
    this.count = 0;
    this.#entryCount = 0;
  }

  /** Where the group of these attributes stands, or the empty slot where it belongs. */
  #slotOf(attribute: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    // Ids that lie side by side come up together, so their lowest bits spread them well.
    let slot = attribute & mask;
    for (;;) {
      const group = (slots[slot] ?? 0) - 1;
      if (group < 0 || this.attribute[group] === attribute) return slot;
      slot = (slot + 1) & mask;
    }
  }

  /** Makes room for twice the entries, and as many groups; at most a quarter of the slots is taken. */
  #grow(): void {
    const capacity = 2 * this.prefix.length;
    this.prefix = grownInt32(this.prefix, capacity);
    this.record = grownInt32(this.record, capacity);
    this.next = grownInt32(this.next, capacity);
    this.attribute = grownInt32(this.attribute, capacity);
    this.first = grownInt32(this.first, capacity);
    this.#last = grownInt32(this.#last, capacity);
    this.#slots = new Int32Array(4 * capacity);
    for (let group = 0; group < this.count; group++) {
      this.#slots[this.#slotOf(this.attribute[group] ?? 0)] = group + 1;
    }
  }
}

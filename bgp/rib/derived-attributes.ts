/** Attributes made of other attributes by a fixed change, once for each id; they live as long as what they were made of. */
import type { AttributeKey } from '../wire/types.ts';
import type { AttributeStore } from './attribute-store.ts';

/** Owner of a reference to each attribute id that it made. */
export class DerivedAttributes {
  readonly #attributes: AttributeStore;
  readonly #change: (key: AttributeKey) => AttributeKey;
  readonly #made = new Map<number, number>();

  constructor(attributes: AttributeStore, change: (key: AttributeKey) => AttributeKey) {
    this.#attributes = attributes;
    this.#change = change;
  }

  /** The id of the changed attributes. Takes no reference for the caller. */
  of(attribute: number): number {
    const known = this.#made.get(attribute);
    if (known !== undefined) return known;
    const made = this.#attributes.intern(this.#change(this.#attributes.key(attribute)));
    // Holding a reference to an id on its own behalf would keep it alive for ever.
    if (made === attribute) this.#attributes.release(made);
    this.#made.set(attribute, made);
    this.#attributes.note(attribute);
    return made;
  }

  /** An id goes away. */
  forget(attribute: number): void {
    // Each id that goes away is asked for here, and mostly nothing was ever made.
    if (this.#made.size === 0) return;
    const made = this.#made.get(attribute);
    if (made === undefined) return;
    this.#made.delete(attribute);
    if (made !== attribute) this.#attributes.release(made);
  }

  /** Gives all references back. */
  dispose(): void {
    const made = [...this.#made];
    this.#made.clear();
    for (const [attribute, id] of made) if (id !== attribute) this.#attributes.release(id);
  }
}

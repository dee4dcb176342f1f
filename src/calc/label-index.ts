/**
 * Which selectors match which items (endpoints, network sets), kept as labels change. A change of one item's labels evaluates only
 * the selectors that mention a changed label and that could match the item; a new selector looks only at items that have the label
 * it demands.
 */
import type { Selector } from './selector/ast.ts';
import { type LabelRestriction, matches, restrictions } from './selector/evaluate.ts';

/** Told when a selector begins or ceases to match an item. */
export type MatchListener = (canonical: string, item: string, matched: boolean) => void;

interface SelectorEntry {
  readonly selector: Selector;
  /** label keys that the selector mentions */
  readonly keys: ReadonlySet<string>;
  /** bucket names, see `bucketsOf` */
  readonly buckets: readonly string[];
  readonly items: Set<string>;
  references: number;
}

interface ItemEntry {
  labels: ReadonlyMap<string, string>;
  readonly selectors: Set<SelectorEntry>;
}

/** The bucket of selectors that demand nothing that could be looked up. */
const EVERYTHING = '';

const keyBucket = (key: string): string => `k${key}`;
const valueBucket = (key: string, value: string): string => `v${key}=${value}`;

/** Owns the match state. Selectors are counted: each `addSelector` needs its `removeSelector`. */
export class LabelIndex {
  readonly #selectors = new Map<string, SelectorEntry>();
  readonly #items = new Map<string, ItemEntry>();
  readonly #selectorsByBucket = new Map<string, Set<SelectorEntry>>();
  readonly #itemsByBucket = new Map<string, Set<string>>();
  readonly #listener: MatchListener;
  #evaluations = 0;

  constructor(listener: MatchListener) {
    this.#listener = listener;
  }

  /** Selector evaluations done so far: what a change has cost. */
  get evaluations(): number {
    return this.#evaluations;
  }

  /** Items that a selector in the index matches now. */
  itemsOf(canonical: string): ReadonlySet<string> {
    return this.#selectors.get(canonical)?.items ?? new Set();
  }

  /** Canonical texts of the selectors that match an item now. */
  *selectorsOf(item: string): IterableIterator<string> {
    for (const entry of this.#items.get(item)?.selectors ?? []) yield entry.selector.canonical;
  }

  /** Adds a selector, or one more reference to it. The listener hears of its matches only when it is new. */
  addSelector(selector: Selector): void {
    const known = this.#selectors.get(selector.canonical);
    if (known !== undefined) {
      known.references++;
      return;
    }
    const entry: SelectorEntry = {
      selector,
      keys: keysOf(selector),
      buckets: bucketsOf(restrictions(selector.root)),
      items: new Set(),
      references: 1,
    };
    this.#selectors.set(selector.canonical, entry);
    for (const bucket of entry.buckets) {
      addTo(this.#selectorsByBucket, bucket, entry);
      if (bucket === EVERYTHING) for (const item of this.#items.keys()) this.#evaluate(entry, item);
      else for (const item of this.#itemsByBucket.get(bucket) ?? []) this.#evaluate(entry, item);
    }
  }

  /** Gives up one reference. With the last, the selector goes; the listener is not told. */
  removeSelector(canonical: string): void {
    const entry = this.#selectors.get(canonical);
    if (entry === undefined || --entry.references > 0) return;
    this.#selectors.delete(canonical);
    for (const bucket of entry.buckets) removeFrom(this.#selectorsByBucket, bucket, entry);
    for (const item of entry.items) this.#items.get(item)?.selectors.delete(entry);
  }

  /** Adds an item or gives it other labels. */
  setItem(item: string, labels: ReadonlyMap<string, string>): void {
    const entry = this.#items.get(item);
    if (entry === undefined) {
      this.#items.set(item, { labels, selectors: new Set() });
      for (const bucket of itemBuckets(labels)) addTo(this.#itemsByBucket, bucket, item);
      for (const selector of this.#candidates(labels)) this.#evaluate(selector, item);
      return;
    }
    const before = entry.labels;
    const changed = changedKeys(before, labels);
    if (changed.size === 0) return;
    entry.labels = labels;
    for (const key of changed) {
      const old = before.get(key);
      const now = labels.get(key);
      if (old !== undefined) {
        removeFrom(this.#itemsByBucket, valueBucket(key, old), item);
        if (now === undefined) removeFrom(this.#itemsByBucket, keyBucket(key), item);
      }
      if (now !== undefined) {
        addTo(this.#itemsByBucket, valueBucket(key, now), item);
        if (old === undefined) addTo(this.#itemsByBucket, keyBucket(key), item);
      }
    }
    const candidates = new Set([...entry.selectors, ...this.#candidates(labels)]);
    for (const selector of candidates) {
      if (!selector.keys.isDisjointFrom(changed)) this.#evaluate(selector, item);
    }
  }

  /** Removes an item; the listener hears of the end of each match. */
  removeItem(item: string): void {
    const entry = this.#items.get(item);
    if (entry === undefined) return;
    this.#items.delete(item);
    for (const bucket of itemBuckets(entry.labels)) removeFrom(this.#itemsByBucket, bucket, item);
    for (const selector of entry.selectors) {
      selector.items.delete(item);
      this.#listener(selector.selector.canonical, item, false);
    }
  }

  *#candidates(labels: ReadonlyMap<string, string>): IterableIterator<SelectorEntry> {
    yield* this.#selectorsByBucket.get(EVERYTHING) ?? [];
    for (const bucket of itemBuckets(labels)) yield* this.#selectorsByBucket.get(bucket) ?? [];
  }

  #evaluate(entry: SelectorEntry, item: string): void {
    const state = this.#items.get(item);
    if (state === undefined) return;
    this.#evaluations++;
    const matched = matches(entry.selector.root, state.labels);
    if (matched === entry.items.has(item)) return;
    if (matched) {
      entry.items.add(item);
      state.selectors.add(entry);
    } else {
      entry.items.delete(item);
      state.selectors.delete(entry);
    }
    this.#listener(entry.selector.canonical, item, matched);
  }
}

/**
 * The buckets in which items that the selector can match are found: of all its demands the one that is likely to leave the fewest
 * items. A selector that can match nothing has no bucket.
 */
function bucketsOf(demands: ReadonlyMap<string, LabelRestriction>): readonly string[] {
  let best: readonly string[] = [EVERYTHING];
  for (const [key, demand] of demands) {
    if (demand.present && demand.absent) return [];
    if (!demand.present) continue;
    if (demand.values === undefined) {
      if (best[0] === EVERYTHING) best = [keyBucket(key)];
      continue;
    }
    const buckets = demand.values.map((value) => valueBucket(key, value));
    if (buckets.length === 0) return [];
    if (!best[0]?.startsWith('v') || buckets.length < best.length) best = buckets;
  }
  return best;
}

function* itemBuckets(labels: ReadonlyMap<string, string>): IterableIterator<string> {
  for (const [key, value] of labels) {
    yield keyBucket(key);
    yield valueBucket(key, value);
  }
}

function keysOf(selector: Selector): Set<string> {
  const keys = new Set<string>();
  const queue = [selector.root];
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    if ('key' in node) keys.add(node.key);
    else if ('operand' in node) queue.push(node.operand);
    else if ('operands' in node) queue.push(...node.operands);
  }
  return keys;
}

function changedKeys(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): Set<string> {
  const changed = new Set<string>();
  for (const [key, value] of a) if (b.get(key) !== value) changed.add(key);
  for (const key of b.keys()) if (!a.has(key)) changed.add(key);
  return changed;
}

/** Adds to the set of a key, which is made when absent. */
export function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

/** Removes from the set of a key, and the key with its last value. */
export function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) return;
  set.delete(value);
  if (set.size === 0) map.delete(key);
}

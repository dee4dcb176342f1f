/**
 * Which version of each key is known. Versions come from a list, from the watch, from answers to this host's own writes and from
 * conflicts; they may overtake each other, and each reaches the sink at most once and never after a later one.
 */
import type { KeySink, RawEntry } from './raw.ts';

/** A list of everything at one revision. */
export interface Listing {
  readonly entries: readonly RawEntry[];
  readonly revision: number;
}

/** A list on its way into the mirror. */
export interface ListTaking {
  readonly isOtherHistory: boolean;
  /** Takes the next part. Yields to the event loop between slices. One part at a time. */
  take(entries: readonly RawEntry[]): Promise<void>;
  /** All parts came: what was in none of them goes. */
  finish(): void;
}

/** Entries are looked at in slices of so many milliseconds, so that BGP and the API stay on time. */
const SLICE_MS = 4;

/** The versions of all keys. */
export class Mirror {
  readonly #sink: KeySink;
  readonly #versions = new Map<string, number>();
  /** keys known to be absent ahead of the watch -> the revision at which they were */
  readonly #absent = new Map<string, number>();
  #isListed = false;

  constructor(sink: KeySink) {
    this.#sink = sink;
  }

  get size(): number {
    return this.#versions.size;
  }

  /** A version of a key was seen. */
  put(entry: RawEntry): void {
    this.#put(entry, false);
  }

  /** A key was seen to be absent at a revision. */
  absent(key: string, revision: number): void {
    const known = this.#versions.get(key) ?? 0;
    if (known > revision) return;
    this.#absent.set(key, Math.max(revision, this.#absent.get(key) ?? 0));
    if (known === 0) return;
    this.#versions.delete(key);
    this.#sink.remove(key, known);
  }

  /** The watch has delivered everything up to a revision: what it may still bring is later. */
  watchedUpTo(revision: number): void {
    for (const [key, absentAt] of this.#absent) if (absentAt <= revision) this.#absent.delete(key);
  }

  /** Whether a list of etcd itself has been taken over to its end. */
  get isListed(): boolean {
    return this.#isListed;
  }

  /**
   * Takes over what was known in the last run, unless a list of etcd has been taken over. False: it has. A list under way does not mind:
   * of each key the later version stays, and what the list does not hold goes at its end.
   */
  async seed({ entries }: Listing): Promise<boolean> {
    if (this.#isListed) return false;
    await inSlices(entries, (entry) => {
      if (!this.#isListed) this.#put(entry, true);
    });
    return !this.#isListed;
  }

  /**
   * Begins to take over a list, which comes in parts: differences only. `isOtherHistory`: the revisions known so far mean nothing (another
   * cluster, or one restored from a backup), so versions are replaced whatever their number.
   */
  beginList(revision: number, isOtherHistory: boolean): ListTaking {
    const present = new Set<string>();
    return {
      isOtherHistory,
      take: async (entries) =>
        await inSlices(entries, (entry) => {
          present.add(entry.key);
          if (isOtherHistory) this.#force(entry);
          else this.#put(entry, !this.#isListed);
        }),
      finish: () => {
        this.#isListed = true;
        for (const [key, version] of [...this.#versions]) {
          if (present.has(key) || (!isOtherHistory && version > revision)) continue;
          this.#versions.delete(key);
          this.#sink.remove(key, version);
        }
        if (isOtherHistory) this.#absent.clear();
        else this.watchedUpTo(revision);
      },
    };
  }

  #put(entry: RawEntry, isBulk: boolean): void {
    const { key, modRevision } = entry;
    if ((this.#versions.get(key) ?? 0) >= modRevision || (this.#absent.get(key) ?? 0) >= modRevision) return;
    this.#absent.delete(key);
    this.#versions.set(key, modRevision);
    this.#sink.put(entry, isBulk);
  }

  #force(entry: RawEntry): void {
    this.#absent.delete(entry.key);
    this.#versions.set(entry.key, entry.modRevision);
    this.#sink.put(entry, !this.#isListed);
  }
}

/** Does something with each entry, and lets the event loop go on between slices. */
async function inSlices(entries: readonly RawEntry[], work: (entry: RawEntry) => void): Promise<void> {
  let sliceEnd = performance.now() + SLICE_MS;
  for (const entry of entries) {
    work(entry);
    if (performance.now() < sliceEnd) continue;
    await new Promise<void>((resolve) => setImmediate(resolve));
    sliceEnd = performance.now() + SLICE_MS;
  }
}

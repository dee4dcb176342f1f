/** Who listens to a store, and the state that is told to late listeners: problems and availability. */
import type { StoreAvailability, StoreEvent, StoreListener, StoreProblem, Subscription } from '../types.ts';

/** Fans events out to listeners. `snapshot` yields the resources in force at the time of the call. */
export class EventHub {
  readonly #snapshot: () => Iterable<StoreEvent>;
  readonly #listeners = new Set<StoreListener>();
  readonly #problems = new Map<string, StoreProblem>();
  #availability: StoreAvailability = { state: 'available' };

  constructor(snapshot: () => Iterable<StoreEvent>) {
    this.#snapshot = snapshot;
  }

  get availability(): StoreAvailability {
    return this.#availability;
  }

  /** Ordered by location. */
  get problems(): readonly StoreProblem[] {
    return Array.from(this.#problems.values()).sort((a, b) => (a.location < b.location ? -1 : 1));
  }

  problemAt(location: string): StoreProblem | undefined {
    return this.#problems.get(location);
  }

  /** The snapshot comes in a microtask, so that a listener is never called before `watch` has returned. */
  watch(listener: StoreListener): Subscription {
    let isOpen = true;
    queueMicrotask(() => {
      if (!isOpen) return;
      for (const event of this.#initialEvents()) {
        listener(event);
        if (!isOpen) return;
      }
      this.#listeners.add(listener);
    });
    return {
      close: () => {
        isOpen = false;
        this.#listeners.delete(listener);
      },
    };
  }

  emit(event: StoreEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  report(problem: StoreProblem): void {
    this.#problems.set(problem.location, problem);
    this.emit({ type: 'problem', problem });
  }

  solve(location: string): void {
    if (this.#problems.delete(location)) this.emit({ type: 'problem-solved', location });
  }

  setAvailability(availability: StoreAvailability): void {
    const isSame =
      availability.state === 'available'
        ? this.#availability.state === 'available'
        : this.#availability.state === 'unavailable' && this.#availability.reason === availability.reason;
    if (isSame) return;
    this.#availability = availability;
    this.emit({ type: 'availability', availability });
  }

  closeAll(): void {
    this.#listeners.clear();
  }

  *#initialEvents(): Generator<StoreEvent> {
    yield* this.#snapshot();
    for (const problem of this.problems) yield { type: 'problem', problem };
    if (this.#availability.state === 'unavailable') {
      yield { type: 'availability', availability: this.#availability };
    }
    yield { type: 'in-sync' };
  }
}

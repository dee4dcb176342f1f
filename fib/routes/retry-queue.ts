/** Prefixes whose write the kernel refused, waiting for their next attempt: one first-in-first-out list for each back-off step. */

const FIRST_DELAY_MS = 250;
const STEPS = 9; // 250 ms doubled eight times: 64 s

class Step {
  ids: number[] = [];
  dueMs: number[] = [];
  head = 0;
}

/** A queue of ids with exponential back-off. An id may stand in it more than once; the owner ignores those that no longer fail. */
export class RetryQueue {
  readonly #steps = Array.from({ length: STEPS }, () => new Step());

  /** Queues an id after its `attempts`th refusal (1 or more). */
  push(id: number, attempts: number, nowMs: number): void {
    const index = Math.min(attempts, STEPS) - 1;
    const step = this.#steps[index];
    if (step === undefined) return;
    step.ids.push(id);
    step.dueMs.push(nowMs + FIRST_DELAY_MS * 2 ** index);
  }

  /** Hands over the ids that are due. */
  takeDue(nowMs: number, take: (id: number) => void): void {
    for (const step of this.#steps) {
      while (step.head < step.ids.length && (step.dueMs[step.head] ?? 0) <= nowMs) {
        const id = step.ids[step.head++];
        if (id !== undefined) take(id);
      }
      if (step.head > 1024 || step.head === step.ids.length) {
        step.ids.splice(0, step.head);
        step.dueMs.splice(0, step.head);
        step.head = 0;
      }
    }
  }

  /** When the next id is due, or undefined when none waits. */
  nextDueMs(): number | undefined {
    let next: number | undefined;
    for (const step of this.#steps) {
      const due = step.dueMs[step.head];
      if (due !== undefined && (next === undefined || due < next)) next = due;
    }
    return next;
  }
}

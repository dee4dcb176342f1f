/**
 * How many messages go to the kernel at a time. It works them off before it returns, and nothing else happens in this process meanwhile. That takes two
 * milliseconds for a thousand, but up to 20 for a single one while somebody reads a large IPv6 table: the kernel locks it, and starts over with each change.
 * Then batches become small, so that keepalives and BFD are not late. Pure: told how long batches took.
 */
export const MOST_MESSAGES = 1000;
const FEWEST = 1;
/** a batch that takes longer is followed by a smaller one */
const LONG_MS = 8;
/** one that takes less by a larger one */
const SHORT_MS = 4;

export class BatchSize {
  #messages = MOST_MESSAGES;

  /** For the next batch: 1..1000. */
  get messages(): number {
    return this.#messages;
  }

  /** A batch of `count` messages took so long. One that was not full says nothing of larger ones. */
  took(milliseconds: number, count: number): void {
    if (milliseconds > LONG_MS)
      this.#messages = Math.max(FEWEST, Math.floor(Math.min(this.#messages, count) / 2));
    else if (milliseconds < SHORT_MS && count >= this.#messages)
      this.#messages = Math.min(MOST_MESSAGES, 2 * this.#messages);
  }
}

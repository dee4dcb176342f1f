/**
 * What of a detachment goes on after its answer. Tried again with back-off until it is done or the endpoint is wanted again; what the
 * process leaves undone, the next start sweeps.
 */
import type { Log } from '../log.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;

/** Owns the detachments under way. */
export class Teardowns {
  readonly #log: Log;
  /** by endpoint */
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #retries = new Set<NodeJS.Timeout>();
  #closed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Runs `work` for an endpoint, again after an error. It has to find out itself whether there is anything to do. */
  begin(id: string, work: () => Promise<void>, delayMs = FIRST_RETRY_MS): void {
    const running = work()
      .catch((error: unknown) => {
        if (this.#closed) return;
        const reason = error instanceof Error ? error.message : String(error);
        this.#log.error({ endpoint: id, reason }, 'an endpoint is not detached wholly yet; tried again');
        const timer = setTimeout(() => {
          this.#retries.delete(timer);
          this.begin(id, work, Math.min(delayMs * 2, MAX_RETRY_MS));
        }, delayMs);
        timer.unref();
        this.#retries.add(timer);
      })
      .finally(() => {
        if (this.#underWay.get(id) === running) this.#underWay.delete(id);
      });
    this.#underWay.set(id, running);
  }

  get count(): number {
    return this.#underWay.size;
  }

  /** Resolves when those under way have been tried, or after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([Promise.all(this.#underWay.values()), promise]);
    clearTimeout(timer);
  }

  /** Waits for those under way, `timeoutMs` at most; nothing is tried again. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    for (const timer of this.#retries) clearTimeout(timer);
    this.#retries.clear();
    await this.settled(timeoutMs);
  }
}

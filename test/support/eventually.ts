/** Waiting for a condition with a deadline: the only way in which tests wait. */
import { setTimeout as delay } from 'node:timers/promises';

/** How long and how often to look. */
export interface EventuallyOptions {
  /** default 10,000 ms */
  readonly timeoutMs?: number;
  /** default 20 ms */
  readonly intervalMs?: number;
}

/**
 * Calls `check` until it returns without throwing and its value is not false or undefined, and returns that value.
 * At the deadline it throws an error that names `what` and holds the last failure.
 */
export async function eventually<T>(
  what: string,
  check: () => T | false | undefined | Promise<T | false | undefined>,
  options: EventuallyOptions = {},
): Promise<T> {
  const deadline = performance.now() + (options.timeoutMs ?? 10_000);
  let lastError: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== false && value !== undefined) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`timed out waiting: ${what}`, { cause: lastError });
    }
    await delay(options.intervalMs ?? 20);
  }
}

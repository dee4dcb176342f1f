/** Waiting for something to become true, always with an end. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly intervalMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks `look` again and again for what is still missing, until it says nothing is, or the time is over. Returns what was
 * missing last: empty when the wait succeeded. Throws only when aborted, or when `look` throws.
 */
export async function waitUntilNothing(
  look: () => Promise<string[]>,
  options: WaitOptions,
): Promise<string[]> {
  const { timeoutMs, intervalMs = 300, signal } = options;
  const end = performance.now() + timeoutMs;
  for (;;) {
    const missing = await look();
    if (missing.length === 0 || performance.now() > end) return missing;
    // An aborted sleep throws an error of its own; the signal's reason is what the caller wants to hear.
    await sleep(intervalMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}

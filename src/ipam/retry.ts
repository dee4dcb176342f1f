/** Trying again when others write the same documents: at once at first, then after growing random pauses, so that many hosts disperse. */
import { MAX_ATTEMPTS, TooMuchContention } from './errors.ts';
import type { Deadline } from './host-lock.ts';

const IMMEDIATE_ATTEMPTS = 3;
const MAX_PAUSE_MS = 50;

/** Runs `attempt` until it gives something else than `raced`. Throws `TooMuchContention` or `TimeIsUp`. */
export async function untilSettled<T>(
  what: string,
  deadline: Deadline,
  attempt: () => Promise<T | 'raced'>,
): Promise<T> {
  for (let count = 0; count < MAX_ATTEMPTS; count++) {
    deadline.check(what);
    const outcome = await attempt();
    if (outcome !== 'raced') return outcome;
    if (count >= IMMEDIATE_ATTEMPTS) {
      const limitMs = Math.min(MAX_PAUSE_MS, 2 ** (count - IMMEDIATE_ATTEMPTS));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * limitMs));
    }
  }
  throw new TooMuchContention(what, MAX_ATTEMPTS);
}

/**
 * The host's lock around allocating and releasing: requests of one host would only make each other retry. As in Calico the time of an
 * operation is counted from when it holds the lock.
 */
import { KeyedMutex } from '../store/keyed-mutex.ts';
import { IpamError, TimeIsUp } from './errors.ts';

/** Calico's limit of one operation. */
export const OPERATION_LIMIT_MS = 90_000;
/** Operations that may wait; more are refused at once. */
const MAX_WAITING = 4096;

/** The budget of one operation. */
export interface Deadline {
  /** Throws `TimeIsUp` when the time is over. */
  check(what: string): void;
}

/** Runs operations one after another. */
export class HostLock {
  readonly #mutex = new KeyedMutex();
  /** monotonic, ms */
  readonly #clock: () => number;
  #waiting = 0;

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Operations that wait or run. */
  get waiting(): number {
    return this.#waiting;
  }

  async run<T>(work: (deadline: Deadline) => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING)
      throw new IpamError('busy', `${MAX_WAITING} requests for addresses wait already: try again later`);
    this.#waiting++;
    try {
      return await this.#mutex.run('', async () => {
        const end = this.#clock() + OPERATION_LIMIT_MS;
        return await work({
          check: (what) => {
            if (this.#clock() > end) throw new TimeIsUp(what, OPERATION_LIMIT_MS);
          },
        });
      });
    } finally {
      this.#waiting--;
    }
  }
}

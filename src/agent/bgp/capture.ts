/** A peer's messages for one reader of the API: a bounded queue between the speaker, which never waits, and the reader, who may be slow. */
import type { WatchedMessage } from '../../../bgp/speaker/capture.ts';
import type { Speaker } from '../../../bgp/speaker.ts';
import { verdictOf } from '../../../bgp/wire/verdict.ts';
import type { CapturedRow } from '../../api/views.ts';
import { formatAddress } from '../../net/address.ts';

/** What waits for a reader at most; beyond that, messages are counted and left out. */
const QUEUE_MESSAGES = 4096;
const QUEUE_OCTETS = 8 << 20;
/** A sign of life for a reader who waits, well below its time limit. */
const SIGN_OF_LIFE_MS = 15_000;

/** Messages that wait to be read. */
export class CaptureQueue {
  #messages: WatchedMessage[] = [];
  #octets = 0;
  #lost = 0;
  #wake: (() => void) | undefined;

  get isEmpty(): boolean {
    return this.#messages.length === 0 && this.#lost === 0;
  }

  /** Takes a copy of a message, or counts it. */
  push(watched: WatchedMessage): void {
    const octets = watched.message.length;
    if (this.#messages.length >= QUEUE_MESSAGES || this.#octets + octets > QUEUE_OCTETS) this.#lost++;
    else {
      this.#messages.push({ ...watched, message: watched.message.slice() });
      this.#octets += octets;
    }
    this.#wake?.();
  }

  /** All that waits, and how many were left out after it. */
  take(): { readonly messages: readonly WatchedMessage[]; readonly lost: number } {
    const taken = { messages: this.#messages, lost: this.#lost };
    this.#messages = [];
    this.#octets = 0;
    this.#lost = 0;
    return taken;
  }

  /** Resolves when there is something to take, the signal aborts, or the time is over. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!this.isEmpty || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done);
      this.#wake = done;
    });
  }
}

/**
 * Rows until the signal aborts; undefined stands for a sign of life. Undefined instead of rows when there is no such peer. Watching begins with this call.
 */
export function captureRows(
  speaker: Speaker,
  peer: string,
  signal: AbortSignal,
): AsyncIterable<CapturedRow | undefined> | undefined {
  const queue = new CaptureQueue();
  const stop = speaker.watch(peer, (watched) => queue.push(watched));
  if (stop === undefined) return undefined;
  signal.addEventListener('abort', stop, { once: true });
  return rowsOf(queue, signal, stop);
}

async function* rowsOf(
  queue: CaptureQueue,
  signal: AbortSignal,
  stop: () => void,
): AsyncGenerator<CapturedRow | undefined> {
  try {
    // The first one tells the reader that watching has begun.
    yield undefined;
    while (!signal.aborted) {
      const { messages, lost } = queue.take();
      for (const message of messages) yield rowOf(message);
      if (lost > 0) yield { lost };
      if (messages.length > 0 || lost > 0) continue;
      await queue.wait(SIGN_OF_LIFE_MS, signal);
      if (queue.isEmpty) yield undefined;
    }
  } finally {
    stop();
  }
}

function rowOf({ direction, at, local, remote, message, context, earlier }: WatchedMessage): CapturedRow {
  return {
    ...(earlier && { earlier }),
    direction,
    at,
    local: { address: formatAddress(local.address), port: local.port },
    remote: { address: formatAddress(remote.address), port: remote.port },
    hex: message.toHex(),
    verdict: verdictOf(message, context),
  };
}

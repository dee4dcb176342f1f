/** Hearing of changes of one file, also when it is replaced by another of its name, or is reached by a link that is turned. */
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Writers that truncate and write are given this time between their steps. */
const QUIET_MS = 100;

/** A file that is followed. */
export class FileWatch {
  readonly #path: string;
  readonly #onText: (text: string) => void;
  readonly #onError: (error: unknown) => void;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #last: string;

  /** `text` is what has been read already; `onText` hears of each other one, `onError` of a file that cannot be read or followed. */
  constructor(path: string, text: string, onText: (text: string) => void, onError: (error: unknown) => void) {
    this.#path = path;
    this.#last = text;
    this.#onText = onText;
    this.#onError = onError;
    try {
      this.#watcher = watch(dirname(path), () => this.#later());
      this.#watcher.on('error', onError);
    } catch (error) {
      onError(error);
    }
  }

  /** Reads the file now; with `always` it is told of also when it is as before. */
  read(always: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      this.#onError(error);
      return;
    }
    if (text === this.#last && !always) return;
    this.#last = text;
    this.#onText(text);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#watcher?.close();
  }

  // In a folder where something always happens the file is still looked at each time the delay is over.
  #later(): void {
    this.#timer ??= setTimeout(() => this.read(false), QUIET_MS);
  }
}

/** A helper process in a namespace, asked in lines and answering each in a line of JSON. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Netns } from '../../../test/support/netns.ts';

const ANSWER_TIMEOUT_MS = 120_000;

/** The side that asks. */
export class Child {
  readonly #child: ChildProcess;
  readonly #waiting: ((line: string) => void)[] = [];
  #stderr = '';

  /** `script`: a file beside this one. */
  constructor(netns: Netns, script: string, ...words: readonly string[]) {
    const file = fileURLToPath(new URL(script, import.meta.url));
    // The kernel ends it with us, however we end.
    this.#child = netns.spawn('setpriv', '--pdeathsig', 'KILL', process.execPath, file, ...words);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2000);
    });
    this.#child.stdin?.on('error', () => {});
    if (this.#child.stdout !== null)
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#waiting.shift()?.(line));
  }

  /** Rejects when it ends or does not answer. */
  async ask<T>(line: string): Promise<T> {
    const answer = await new Promise<string>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`${why} at "${line}": ${this.#stderr}`));
      const timer = setTimeout(() => fail('a helper does not answer'), ANSWER_TIMEOUT_MS);
      const ended = (): void => {
        clearTimeout(timer);
        fail('a helper ended');
      };
      this.#child.once('close', ended);
      this.#waiting.push((text) => {
        clearTimeout(timer);
        this.#child.removeListener('close', ended);
        resolve(text);
      });
      this.#child.stdin?.write(`${line}\n`);
    });
    return JSON.parse(answer);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

/** The side that answers: calls `answer` with the words of each line, one after the other; ends with its input. */
export async function answerLines(answer: (words: readonly string[]) => Promise<unknown>): Promise<never> {
  for await (const line of createInterface({ input: process.stdin }))
    process.stdout.write(`${JSON.stringify(await answer(line.split(' ')))}\n`);
  process.exit(0);
}

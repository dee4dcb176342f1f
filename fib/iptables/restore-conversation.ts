/**
 * One iptables-restore that stays: it is fed one transaction after the other, which saves the start of a process for each. It takes the
 * tables anew at each `*TABLE` and, in the legacy backend, holds the lock from there to COMMIT only.
 */
import type { CommandOutcome, RunningTool, ToolStarter } from '../command.ts';

/** How a transaction ended. `status` is undefined when the tool was killed or did not answer: what took effect is not known. */
export interface RestoreOutcome extends CommandOutcome {
  /** lines that the tool had read before this transaction: its messages count from the first it ever read */
  readonly linesBefore: number;
}

/** With --verbose a comment is echoed, and standard output is flushed when the next line, even an empty one, is read. */
const ACKNOWLEDGEMENT = '#ocicat done';
const ACKNOWLEDGEMENT_LINES = 2;
const MAX_OUTPUT_CHARACTERS = 64 * 1024 * 1024;

interface Question {
  readonly acknowledgement: string;
  readonly linesBefore: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (outcome: RestoreOutcome) => void;
}

/** Owns one process. It ends with the first line that it refuses. */
export class RestoreConversation {
  readonly #tool: RunningTool;
  #stdout = '';
  #stderr = '';
  #linesRead = 0;
  #acknowledged = 0;
  #question: Question | undefined;
  #isOver = false;
  readonly #closed = Promise.withResolvers<void>();

  /** `command` with options that make it verbose and leave tables as they are: `--noflush --verbose`. */
  constructor(start: ToolStarter, command: string, args: readonly string[]) {
    this.#tool = start(command, args, {
      stdout: (text) => this.#hear(text),
      stderr: (text) => {
        if (this.#stderr.length < MAX_OUTPUT_CHARACTERS) this.#stderr += text;
      },
      closed: (status) => {
        this.#isOver = true;
        this.#answer(status === 0 ? undefined : status, `the tool ended by itself, status ${status}`);
        this.#closed.resolve();
      },
    });
  }

  /** Nothing more can be asked: the process is gone, or on its way. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Feeds lines, each without its line break, and resolves when they have been worked through, with what they printed. The next
   * question must wait for this one's answer. The tool is killed when there is none within `timeoutMs`. Never rejects.
   */
  ask(lines: readonly string[], timeoutMs: number): Promise<RestoreOutcome> {
    const { promise, resolve } = Promise.withResolvers<RestoreOutcome>();
    const linesBefore = this.#linesRead;
    if (this.#isOver || this.#question !== undefined) {
      resolve({ status: undefined, stdout: '', stderr: 'the tool takes no input now', linesBefore });
      return promise;
    }
    const acknowledgement = `${ACKNOWLEDGEMENT} ${++this.#acknowledged}`;
    const timer = setTimeout(() => this.#abandon(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    this.#question = { acknowledgement: `${acknowledgement}\n`, linesBefore, timer, resolve };
    this.#stdout = '';
    this.#stderr = '';
    this.#linesRead += lines.length + ACKNOWLEDGEMENT_LINES;
    this.#tool.write([...lines, acknowledgement, '', ''].join('\n'));
    return promise;
  }

  /** Lets it end, and kills it when it has not after `timeoutMs`. */
  async end(timeoutMs: number): Promise<void> {
    this.#isOver = true;
    this.#tool.end();
    const timer = setTimeout(() => this.#tool.kill(), timeoutMs);
    await this.#closed.promise;
    clearTimeout(timer);
  }

  #hear(text: string): void {
    this.#stdout += text;
    const question = this.#question;
    if (question !== undefined && this.#stdout.endsWith(question.acknowledgement)) {
      this.#stdout = this.#stdout.slice(0, -question.acknowledgement.length);
      this.#answer(0, '');
    } else if (this.#stdout.length > MAX_OUTPUT_CHARACTERS) {
      this.#abandon(`more than ${MAX_OUTPUT_CHARACTERS} characters of output`);
    }
  }

  #abandon(reason: string): void {
    this.#isOver = true;
    this.#answer(undefined, reason);
    this.#tool.kill();
  }

  #answer(status: number | undefined, problem: string): void {
    const question = this.#question;
    if (question === undefined) return;
    this.#question = undefined;
    clearTimeout(question.timer);
    const stderr = this.#stderr === '' ? problem : this.#stderr;
    question.resolve({ status, stdout: this.#stdout, stderr, linesBefore: question.linesBefore });
  }
}

/** Carries out the restore transactions of one family, one after the other, by a process that stays as far as that works. */
import type { Family } from '../../src/net/address.ts';
import type { CommandRunner, ToolStarter } from '../command.ts';
import { backendCommand, type IptablesBackend, oneLine } from './backend.ts';
import { RestoreConversation, type RestoreOutcome } from './restore-conversation.ts';

/** How a family is driven. */
export interface RestoreChannelOptions {
  readonly family: Family;
  readonly backend: IptablesBackend;
  readonly run: CommandRunner;
  /** starts the process that stays; without it each transaction is a process of its own */
  readonly start?: ToolStarter | undefined;
  /** how long a transaction waits for the lock of the legacy backend; default 10 */
  readonly lockWaitSec?: number | undefined;
  /** a transaction that takes longer (the wait for the lock not counted) is given up; default 60,000 */
  readonly timeoutMs?: number;
  /** the process that stays ends after this time without a transaction; default 600,000 */
  readonly idleMs?: number;
}

const DEFAULT_LOCK_WAIT_SEC = 10;
const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_IDLE_MS = 600_000;
const SELF_CHECK_TIMEOUT_MS = 5_000;
const END_TIMEOUT_MS = 2_000;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 300_000;

/** Owns the process of one family. It ends when this process does. */
export class RestoreChannel {
  readonly #options: RestoreChannelOptions;
  readonly #command: string;
  readonly #waitArgs: readonly string[];
  readonly #timeoutMs: number;
  #conversation: RestoreConversation | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #idleTimer: NodeJS.Timeout | undefined;
  #problem: string | undefined;
  /** no process that stays is tried before, on the clock of `performance.now` */
  #retryAtMs = 0;
  #retryMs = FIRST_RETRY_MS;
  #isClosed = false;

  constructor(options: RestoreChannelOptions) {
    const { lockWaitSec = DEFAULT_LOCK_WAIT_SEC, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    this.#options = options;
    this.#command = backendCommand(options.family, options.backend, 'restore');
    this.#waitArgs = ['--wait', String(lockWaitSec)];
    this.#timeoutMs = timeoutMs + lockWaitSec * 1000;
  }

  /** Why transactions are processes of their own at present, though they need not be. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Works through lines of restore input (`*TABLE` ... `COMMIT`, any number of blocks), each without its line break. A block takes
   * effect whole or not at all, and none after one that failed does. Never rejects.
   */
  restore(lines: readonly string[]): Promise<RestoreOutcome> {
    const result = this.#queue.then(() => this.#restore(lines));
    this.#queue = result;
    return result;
  }

  /** Ends the process, after the transactions that wait. Later ones are refused. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idleTimer);
    await this.#queue;
    await this.#conversation?.end(END_TIMEOUT_MS);
    this.#conversation = undefined;
  }

  async #restore(lines: readonly string[]): Promise<RestoreOutcome> {
    if (this.#isClosed) return { status: undefined, stdout: '', stderr: 'closed', linesBefore: 0 };
    clearTimeout(this.#idleTimer);
    const conversation = await this.#open();
    if (conversation === undefined) {
      const input = [...lines, ''].join('\n');
      const outcome = await this.#options.run(this.#command, ['--noflush', ...this.#waitArgs], input);
      return { ...outcome, linesBefore: 0 };
    }
    const outcome = await conversation.ask(lines, this.#timeoutMs);
    if (!conversation.isOver) {
      this.#idleTimer = setTimeout(() => this.#endIdle(), this.#options.idleMs ?? DEFAULT_IDLE_MS);
      this.#idleTimer.unref();
    }
    return outcome;
  }

  /** A process that answers; undefined where there is none to be had now. */
  async #open(): Promise<RestoreConversation | undefined> {
    if (this.#conversation !== undefined && !this.#conversation.isOver) return this.#conversation;
    this.#conversation = undefined;
    const { start } = this.#options;
    if (start === undefined || performance.now() < this.#retryAtMs) return undefined;
    const args = ['--noflush', '--verbose', ...this.#waitArgs];
    const conversation = new RestoreConversation(start, this.#command, args);
    const outcome = await conversation.ask([], SELF_CHECK_TIMEOUT_MS);
    if (outcome.status === 0) {
      this.#problem = undefined;
      this.#retryMs = FIRST_RETRY_MS;
      this.#conversation = conversation;
      return conversation;
    }
    this.#problem = `${this.#command} ${args.join(' ')}: ${oneLine(outcome.stderr || outcome.stdout)}`;
    this.#retryAtMs = performance.now() + this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
    return undefined;
  }

  #endIdle(): void {
    void this.#conversation?.end(END_TIMEOUT_MS);
    this.#conversation = undefined;
  }
}

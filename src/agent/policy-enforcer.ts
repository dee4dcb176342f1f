/**
 * Keeps the kernel's policy as the calculation graph wants it: applies changes as they come, retries what failed, checks for drift,
 * and lets others wait until an endpoint is protected.
 */
import type { ApplyResult, PolicyStatus } from '../../fib/policy/results.ts';
import type { PolicyProgrammer } from '../../fib/policy-programmer.ts';
import type { NatChange, PolicyChange } from '../../fib/rules/types.ts';
import { CoalescedTask } from './coalesced.ts';
import type { Log } from './log.ts';

/** Owns the loop around a `PolicyProgrammer`. */
export class PolicyEnforcer {
  readonly #programmer: PolicyProgrammer;
  readonly #log: Log;
  readonly #task: CoalescedTask;
  readonly #waiters = new Map<string, Set<() => void>>();
  #pending = false;
  #started = false;
  #checkDue = false;
  #checkTimer: NodeJS.Timeout | undefined;
  #lastFailures = '';

  constructor(programmer: PolicyProgrammer, log: Log) {
    this.#programmer = programmer;
    this.#log = log;
    this.#task = new CoalescedTask(
      () => this.#run(),
      (error) => log.error({ error }, 'policy could not be applied'),
    );
  }

  /** Places the static drops; no link of ours may be made before this resolves. Retried by the caller. */
  async start(): Promise<void> {
    const { backend, warnings } = await this.#programmer.start();
    this.#started = true;
    this.#log.info({ backend }, 'static policy rules are in place');
    for (const warning of warnings) this.#log.warn({}, warning);
  }

  /** The calculation graph has told everything: from now on the kernel is changed and swept. */
  markInSync(): void {
    this.#programmer.markInSync();
    this.#trigger();
  }

  enqueue(changes: readonly (PolicyChange | NatChange)[]): void {
    if (changes.length === 0) return;
    this.#programmer.enqueue(changes);
    this.#trigger();
  }

  isReady(endpointId: string): boolean {
    return this.#programmer.isReady(endpointId);
  }

  /** Resolves when the endpoint's policy is in the kernel; rejects after `timeoutMs` with what is failing. */
  ready(endpointId: string, timeoutMs: number): Promise<void> {
    if (this.#programmer.isReady(endpointId)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(endpointId) ?? new Set();
      this.#waiters.set(endpointId, waiters);
      const finish = (): void => {
        clearTimeout(timer);
        waiters.delete(finish);
        if (waiters.size === 0) this.#waiters.delete(endpointId);
        resolve();
      };
      const timer = setTimeout(() => {
        waiters.delete(finish);
        const failures = this.#programmer
          .inspect()
          .failures.map(({ subject, reason }) => `${subject}: ${reason}`);
        reject(
          new Error(
            `its policy is not in the kernel after ${timeoutMs / 1000} s${failures.length > 0 ? `: ${failures.join('; ')}` : ''}`,
          ),
        );
      }, timeoutMs);
      waiters.add(finish);
    });
  }

  /** Resolves when everything that was told has been tried once. */
  idle(): Promise<void> {
    return this.#task.idle();
  }

  /** `pending`: changes are on their way to the kernel. */
  status(): PolicyStatus & { readonly pending: boolean } {
    return { ...this.#programmer.inspect(), pending: this.#pending };
  }

  async close(): Promise<void> {
    clearTimeout(this.#checkTimer);
    await this.#task.close();
    await this.#programmer.close();
  }

  #trigger(): void {
    this.#pending = true;
    if (this.#started) this.#task.trigger();
  }

  async #run(): Promise<{ afterMs?: number }> {
    this.#pending = false;
    const check = this.#checkDue;
    this.#checkDue = false;
    let result: ApplyResult;
    if (check) {
      const checked = await this.#programmer.check();
      if (checked.drift.length > 0) {
        this.#log.warn(
          { drift: checked.drift },
          'somebody else changed our policy rules; they are put right',
        );
      }
      result = checked;
    } else result = await this.#programmer.apply();
    const failures = result.failures.map(({ subject, reason }) => `${subject}: ${reason}`).join('; ');
    if (failures !== this.#lastFailures) {
      if (failures !== '') this.#log.error({ failures }, 'policy is not in the kernel as desired');
      else this.#log.info({}, 'policy is in the kernel as desired again');
      this.#lastFailures = failures;
    }
    for (const id of [...this.#waiters.keys()]) {
      if (this.#programmer.isReady(id)) for (const finish of [...(this.#waiters.get(id) ?? [])]) finish();
    }
    if (result.state !== 'waiting-for-sync') this.#scheduleCheck(result.checkAfterMs);
    return result.retryAfterMs === undefined ? {} : { afterMs: result.retryAfterMs };
  }

  #scheduleCheck(afterMs: number): void {
    clearTimeout(this.#checkTimer);
    this.#checkTimer = setTimeout(() => {
      this.#checkDue = true;
      this.#task.trigger();
    }, afterMs);
    this.#checkTimer.unref();
  }
}

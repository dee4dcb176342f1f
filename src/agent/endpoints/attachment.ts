/**
 * One endpoint's way into the kernel: link prepared, policy in force, link up, routes in. Runs again on every change, and with back-off
 * while something fails; what it cannot cure by trying again (the namespace is gone) it leaves to the next change.
 */
import { EndpointError } from '../../../fib/endpoints/endpoint-links.ts';
import type { FibProgrammer } from '../../../fib/programmer.ts';
import { type Address, addressesEqual } from '../../net/address.ts';
import { formatPrefix, hostPrefix } from '../../net/prefix.ts';
import { CoalescedTask } from '../coalesced.ts';
import type { Log } from '../log.ts';
import type { PolicyEnforcer } from '../policy-enforcer.ts';
import type { LocalEndpoint } from './resource.ts';

/**
 * Where an endpoint stands. `held`: all is prepared, and nothing may flow yet. `cut`: nothing flows any more, and what is left of it is
 * being removed. `gone`: its network namespace is not there, or nothing is left of it.
 */
export type AttachmentState = 'pending' | 'held' | 'up' | 'cut' | 'failed' | 'gone';

/** What an attachment works with. */
export interface AttachmentContext {
  readonly fib: FibProgrammer;
  readonly policy: PolicyEnforcer;
  readonly log: Log;
  /** octets, of both ends */
  readonly mtu: () => number;
  /** an endpoint came up, went or failed */
  readonly onState: () => void;
}

const POLICY_TIMEOUT_MS = 30_000;
const ROUTE_TIMEOUT_MS = 10_000;

/** Keeps one endpoint attached, or detached once `desired` is undefined. */
export class Attachment {
  readonly id: string;
  readonly #policyId: string;
  readonly #context: AttachmentContext;
  readonly #task: CoalescedTask;
  #desired: LocalEndpoint | undefined;
  #applied: LocalEndpoint | undefined;
  #state: AttachmentState = 'pending';
  #reason: string | undefined;
  #isCut = false;
  #mtu = 0;
  readonly #settled = new Set<() => void>();

  /** `policyId`: the endpoint's id in the policy data plane. */
  constructor(id: string, policyId: string, context: AttachmentContext) {
    this.id = id;
    this.#policyId = policyId;
    this.#context = context;
    this.#task = new CoalescedTask(
      () => this.#run(),
      () => {},
    );
  }

  /** What is wanted; undefined: that it be detached. */
  get desired(): LocalEndpoint | undefined {
    return this.#desired;
  }

  get state(): AttachmentState {
    return this.#state;
  }

  /** Why it is not up. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Of both ends, 0 before the first attachment. */
  get mtu(): number {
    return this.#mtu;
  }

  /** Sets what is wanted and starts the work. */
  want(desired: LocalEndpoint | undefined): void {
    this.#desired = desired;
    if (desired !== undefined && this.#state !== 'up') this.#state = 'pending';
    this.#task.trigger();
  }

  /** Looks again: a link or the MTU changed. */
  refresh(): void {
    this.#task.trigger();
  }

  /** Resolves when the endpoint is as wanted; rejects with the reason when it cannot be, or after `timeoutMs`. */
  settled(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settled.delete(check);
        reject(new Error(this.#reason ?? `not done after ${timeoutMs / 1000} s`));
      }, timeoutMs);
      const check = (): void => {
        if (this.#state === 'pending' || this.#state === 'cut') return;
        this.#settled.delete(check);
        clearTimeout(timer);
        const wanted = this.#desired === undefined ? 'gone' : this.#desired.isHeld === true ? 'held' : 'up';
        if (this.#state === wanted) resolve();
        else reject(new Error(this.#reason ?? this.#state));
      };
      this.#settled.add(check);
      void this.#task.idle().then(() => check());
    });
  }

  /** Looks into the kernel. Returns what the endpoint lacks there, in words; empty: nothing. */
  async verify(): Promise<string[]> {
    await this.#task.idle();
    const desired = this.#desired;
    if (desired === undefined) return ['it is not attached'];
    const { fib } = this.#context;
    const lacking = fib.links.verify({ ...desired, mtu: this.#mtu });
    if (this.#state !== 'up') lacking.push(this.#reason ?? `it is ${this.#state}`);
    fib.kernel.drain();
    for (const address of desired.addresses) {
      const prefix = hostPrefix(address);
      if (!fib.isInstalled(prefix)) lacking.push(`the host has no route to ${formatPrefix(prefix)}`);
    }
    if (!this.#context.policy.isReady(this.#policyId)) lacking.push('its policy is not in the kernel');
    return lacking;
  }

  /** Stops the work; the kernel stays as it is. */
  close(): Promise<void> {
    return this.#task.close();
  }

  async #run(): Promise<{ afterMs?: number }> {
    const desired = this.#desired;
    try {
      if (desired === undefined) await this.#detach();
      else await this.#attach(desired);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#reason)
        this.#context.log.error({ endpoint: this.id, reason }, 'endpoint is not as wanted');
      // Only a change from outside brings a namespace back: no retry.
      if (!(error instanceof EndpointError) || error.code !== 'no-netns') {
        this.#become('failed', reason);
        throw error;
      }
      this.#removeRoutes([]);
      this.#become('gone', reason);
    }
    return {};
  }

  /**
   * Ends its traffic at once, before the rest of a detachment, whatever is under way: what was not let loose by now will not be. To be
   * called once it is not wanted any more. Throws an EndpointError.
   */
  cut(): void {
    if (this.#desired !== undefined || this.#isCut) return;
    const { fib } = this.#context;
    if (this.#applied?.sharesNamespace === true)
      fib.links.detachInside(this.id, this.#applied.netns, this.#applied.containerIfname);
    fib.cutEndpoint(this.id, this.#applied?.addresses ?? []);
    this.#isCut = true;
    this.#become('cut', undefined);
  }

  async #detach(): Promise<void> {
    const { fib, policy } = this.#context;
    this.cut();
    await fib.links.remove(this.id);
    // Its address is given to another after this: no port of the host may lead there then.
    if (this.#applied?.publishes === true) await policy.idle();
    // Wanted again meanwhile: the run that is due makes it anew.
    if (this.#desired !== undefined) return;
    this.#applied = undefined;
    this.#become('gone', undefined);
  }

  async #attach(desired: LocalEndpoint): Promise<void> {
    const { fib, policy, log } = this.#context;
    const mtu = desired.wantedMtu ?? this.#context.mtu();
    const spec = { ...desired, mtu };
    this.#removeRoutes(desired.addresses);
    this.#applied = desired;
    this.#isCut = false;
    const prepared = fib.prepareEndpoint(spec);
    await policy.ready(this.#policyId, POLICY_TIMEOUT_MS);
    // The wish may have changed while policy was written; then another run is due and this one must not open the link.
    if (this.#desired !== desired) return;
    if (desired.isHeld === true) {
      this.#become('held', 'the labels of its container are not known yet');
      return;
    }
    fib.activateEndpoint(spec, prepared);
    if (desired.isHanded !== true) await fib.links.operational(spec);
    await fib.installed(
      desired.addresses.map((address) => hostPrefix(address)),
      ROUTE_TIMEOUT_MS,
    );
    if (this.#desired !== desired) return;
    this.#mtu = mtu;
    if (prepared.isNew) log.info({ endpoint: this.id, link: prepared.hostIfname }, 'endpoint attached');
    this.#become('up', undefined);
  }

  /** Takes back the routes of addresses that are not among `kept`. */
  #removeRoutes(kept: readonly Address[]): void {
    for (const address of this.#applied?.addresses ?? []) {
      if (kept.some((each) => addressesEqual(each, address))) continue;
      this.#context.fib.routes.removeRoute(hostPrefix(address), 'endpoint');
    }
  }

  #become(state: AttachmentState, reason: string | undefined): void {
    this.#state = state;
    this.#reason = reason;
    for (const check of [...this.#settled]) check();
    this.#context.onState();
  }
}

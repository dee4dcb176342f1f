/**
 * One endpoint's way into the kernel: link prepared, policy in force, link up, routes in. Runs again on every change, and with back-off
 * while something fails; what it cannot cure by trying again (the namespace is gone) it leaves to the next change.
 */
import { EndpointError } from '../../../fib/endpoints/endpoint-error.ts';
import type { EndpointSpec } from '../../../fib/endpoints/plan.ts';
import type { PreparedEndpoint } from '../../../fib/endpoints/preparation.ts';
import type { FibProgrammer } from '../../../fib/programmer.ts';
import { type Address, addressesEqual } from '../../net/address.ts';
import { formatPrefix, hostPrefix } from '../../net/prefix.ts';
import { CoalescedTask } from '../coalesced.ts';
import type { Log } from '../log.ts';
import type { PolicyEnforcer } from '../policy-enforcer.ts';
import type { LocalEndpoint } from './resource.ts';

/**
 * Where an endpoint stands. `held`: all is prepared, and nothing may flow yet or can: its container is not known, or its runtime has not
 * taken the interface. `cut`: nothing flows any more, and what is left of it is
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
  /** an endpoint came up, went, failed or was changed: with the addresses at which it is reached now */
  readonly onState: (id: string, addresses: readonly Address[]) => void;
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
  /** its runtime has the container end still to take and set up */
  #isAwaited = false;
  /** of the container end, where its runtime chose it */
  #takenName: string | undefined;
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
    if (this.#state === 'up') {
      this.#tellState();
    } else if (desired !== undefined) {
      this.#state = 'pending';
      this.#reason = undefined;
    }
    this.#task.trigger();
  }

  /** A container runtime is about to take the container end: one that is missing is made to wait for it. */
  awaitTaking(): void {
    this.#isAwaited = true;
    if (this.#desired !== undefined) this.#task.trigger();
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
        const desired = this.#desired;
        const wanted = desired === undefined ? 'gone' : desired.isHeld === true ? 'held' : 'up';
        // A runtime takes the interface only once it has its answer.
        const isHandedOver = desired?.isHanded === true && this.#state === 'held';
        if (this.#state === wanted || isHandedOver) resolve();
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
    const lacking = fib.links.verify(this.#specOf(desired, this.#mtu));
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
      // The runtime still has a container there, which has lost its network.
      this.#become(desired?.isHanded === true ? 'failed' : 'gone', reason);
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
    const applied = this.#applied;
    const containerIfname = applied?.containerIfname ?? this.#takenName;
    if (applied?.sharesNamespace === true && containerIfname !== undefined)
      fib.links.detachInside(this.id, applied.netns, containerIfname);
    fib.cutEndpoint(this.id, applied?.addresses ?? []);
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
    this.#isAwaited = false;
    this.#takenName = undefined;
    this.#become('gone', undefined);
  }

  async #attach(desired: LocalEndpoint): Promise<void> {
    const { fib, policy, log } = this.#context;
    const mtu = desired.wantedMtu ?? this.#context.mtu();
    const spec = this.#specOf(desired, mtu);
    this.#removeRoutes(desired.addresses);
    this.#applied = desired;
    this.#isCut = false;
    const prepared = fib.prepareEndpoint(spec);
    if (desired.isHanded === true) this.#noteHanded(prepared);
    await policy.ready(this.#policyId, POLICY_TIMEOUT_MS);
    // The wish may have changed while policy was written; then another run is due and this one must not open the link.
    if (this.#desired !== desired) return;
    if (desired.isHeld === true) {
      this.#become('held', 'the labels of its container are not known yet');
      return;
    }
    fib.activateEndpoint(spec, prepared);
    const { containerIfname } = prepared;
    const isInside = desired.isHanded !== true || (prepared.isNew && prepared.awaits === 'nothing');
    if (isInside) await fib.links.operational({ ...spec, containerIfname });
    await fib.installed(
      desired.addresses.map((address) => hostPrefix(address)),
      ROUTE_TIMEOUT_MS,
    );
    if (this.#desired !== desired) return;
    this.#mtu = mtu;
    if (prepared.isNew) log.info({ endpoint: this.id, link: prepared.hostIfname }, 'endpoint attached');
    if (prepared.awaits === 'nothing') this.#become('up', undefined);
    else this.#become('held', 'its container runtime has not taken its interface yet');
  }

  #specOf(desired: LocalEndpoint, mtu: number): EndpointSpec {
    const containerIfname = desired.containerIfname ?? this.#takenName;
    return { ...desired, mtu, containerIfname, isAwaited: this.#isAwaited };
  }

  #noteHanded({ awaits, containerIfname, isNew }: PreparedEndpoint): void {
    if (awaits === 'taking') return;
    this.#takenName = containerIfname;
    if (awaits === 'nothing') this.#isAwaited = false;
    if (isNew)
      this.#context.log.warn({ endpoint: this.id }, "a container's interface was gone: it was made anew");
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
    this.#tellState();
  }

  #tellState(): void {
    this.#context.onState(this.id, this.#state === 'up' ? (this.#desired?.addresses ?? []) : []);
  }
}

/**
 * Enforces policy and address translation in the kernel: takes changes, keeps chains and sets of both families as desired, and tells which endpoints are
 * protected, so that their links may come up. Order: sets, then rules (each table in one restore), then deletion of sets.
 */
import { FAMILIES, type Family } from '../src/net/address.ts';
import { type CommandRunner, commandRunner, type ToolStarter, toolStarter } from './command.ts';
import { ipsetTool, type SetDriver } from './ipset/commands.ts';
import { KernelSets } from './ipset/kernel-sets.ts';
import { NetlinkSetDriver } from './ipset/netlink-driver.ts';
import { chainsInOtherBackend, detectBackend, type IptablesBackend } from './iptables/backend.ts';
import { probeRandomFully } from './iptables/probe.ts';
import { RestoreChannel } from './iptables/restore-channel.ts';
import { Table } from './iptables/table.ts';
import { DesiredPolicy } from './policy/desired-policy.ts';
import {
  chainSubject,
  type PolicyFailure,
  setFailure,
  setSubject,
  tableFailures,
} from './policy/failures.ts';
import { Pace } from './policy/pace.ts';
import { Readiness } from './policy/readiness.ts';
import type { ApplyResult, CheckResult, PolicyStatus, StartResult } from './policy/results.ts';
import { StaleFlows } from './policy/stale-flows.ts';
import { DEFAULT_RULES_OPTIONS, type RulesOptions } from './rules/options.ts';
import { renderStaticTables } from './rules/static-chains.ts';
import type { FlowForgetter, NatChange, PolicyChange } from './rules/types.ts';

export interface PolicyProgrammerOptions {
  /** default: runs the tools in this process's network namespace */
  readonly run?: CommandRunner;
  /**
   * starts the tools that stay, in the namespace of `run`: one iptables-restore of each family, fed with every change. Default: as
   * `run`; where that alone is given, each change is a process of its own
   */
  readonly startTool?: ToolStarter;
  /**
   * works on the sets of the namespace where `run` works; closed by `close`. Default: by netlink; where `run` alone is given, by a
   * process for each change
   */
  readonly sets?: SetDriver;
  readonly rules?: Partial<RulesOptions>;
  /** `auto` (default) asks the host's `iptables`; keep the answer that `start` gives and pass it the next time */
  readonly backend?: IptablesBackend | 'auto';
  /** capacity of new sets, default 1048576 */
  readonly maxSetElem?: number;
  /** how long a restore waits for the lock of the legacy backend, default 10 */
  readonly lockWaitSec?: number;
  /** told of mappings of UDP ports that came or went once the kernel has them so; what it throws shows as a failure */
  readonly flows?: FlowForgetter;
}

const DEFAULT_LOCK_WAIT_SEC = 10;

/** Owns the policy state of this host. All methods may be called at any time; kernel work is done one call after the other. */
export class PolicyProgrammer {
  readonly #options: PolicyProgrammerOptions;
  readonly #run: CommandRunner;
  readonly #startTool: ToolStarter | undefined;
  readonly #setDriver: SetDriver;
  readonly #sets: KernelSets;
  readonly #desired: DesiredPolicy;
  readonly #flows: StaleFlows;
  readonly #readiness = new Readiness();
  readonly #pace = new Pace();
  #tables: readonly Table[] = [];
  #channels: Readonly<Record<Family, RestoreChannel>> | undefined;
  #backend: IptablesBackend | undefined;
  #inSync = false;

  readonly #queue: (PolicyChange | NatChange)[] = [];
  #isWorking = false;
  #work: Promise<unknown> = Promise.resolve();
  #nextApply: Promise<ApplyResult> | undefined;

  #failures: readonly PolicyFailure[] = [];
  #lastApplyMs: number | undefined;

  /** Throws a RangeError when the mark mask has fewer than five bits. */
  constructor(options: PolicyProgrammerOptions = {}) {
    this.#options = options;
    this.#run = options.run ?? commandRunner();
    this.#startTool = options.startTool ?? (options.run === undefined ? toolStarter() : undefined);
    const tool = ipsetTool(this.#run);
    this.#setDriver = options.sets ?? (options.run === undefined ? new NetlinkSetDriver(tool) : tool);
    this.#sets = new KernelSets({
      driver: this.#setDriver,
      ...(options.maxSetElem === undefined ? {} : { maxElem: options.maxSetElem }),
    });
    this.#desired = new DesiredPolicy({ ...DEFAULT_RULES_OPTIONS, ...options.rules }, this.#sets);
    this.#flows = new StaleFlows(options.flows);
  }

  /**
   * Puts the static drops in place before anything else: what comes from or goes to a workload link without policy is dropped.
   * Chains and sets of an earlier run are left as they are until `markInSync`. Throws when the drops could not be placed: make no
   * workload link then, and call it again.
   */
  start(): Promise<StartResult> {
    return this.#exclusively(async () => {
      const { backend = 'auto' } = this.#options;
      this.#backend ??= backend === 'auto' ? await detectBackend(this.#run) : backend;
      const chosen = this.#backend;
      if (this.#tables.length === 0) this.#tables = this.#makeTables(chosen);
      const failures: PolicyFailure[] = (await this.#sets.apply('base')).map(setFailure);
      const results = await Promise.all(
        this.#tables.map(async (table) => ({
          table,
          failures: tableFailures(table, (await table.apply('base')).failures),
        })),
      );
      // No workload is less protected without address translation: its failures show once something needs it.
      failures.push(
        ...results.filter(({ table }) => table.name !== 'nat').flatMap((result) => result.failures),
      );
      this.#failures = failures;
      if (failures.length > 0) {
        const list = failures.map(({ subject, reason }) => `${subject}: ${reason}`).join('; ');
        throw new Error(`the static policy rules could not be placed: ${list}`);
      }
      const leftovers = await chainsInOtherBackend(this.#run, chosen);
      const warnings: string[] = [];
      if (leftovers.length > 0) {
        warnings.push(
          `chains of ours stand in the other iptables backend too and are enforced there (${leftovers.slice(0, 3).join(', ')}` +
            `${leftovers.length > 3 ? ', ...' : ''}): this host was switched to ${chosen}; remove them there, or switch back`,
        );
      }
      for (const family of FAMILIES) {
        const problem = this.#channels?.[family].problem;
        if (problem === undefined) continue;
        warnings.push(
          `each change of a rule starts a process, which is slower, since one does not stay (${problem}): update iptables`,
        );
      }
      return { backend: chosen, warnings };
    });
  }

  /** Takes in changes, in order. An endpoint that is changed is not ready until the next `apply` has put it into the kernel. */
  enqueue(changes: Iterable<PolicyChange | NatChange>): void {
    for (const change of changes) {
      this.#readiness.note(change);
      this.#queue.push(change);
    }
    // While the drivers work their state must not change under them.
    if (!this.#isWorking) this.#takeIn();
  }

  /** The store has told everything: from now on `apply` writes, and what nobody wants is swept away. */
  markInSync(): void {
    this.#inSync = true;
  }

  /** Puts all changes into the kernel. Calls that wait for their turn share one run. */
  apply(): Promise<ApplyResult> {
    this.#nextApply ??= this.#exclusively(() => {
      this.#nextApply = undefined;
      return this.#applyNow();
    });
    return this.#nextApply;
  }

  /** Reads everything back from the kernel and puts right what someone else changed. */
  check(): Promise<CheckResult> {
    return this.#exclusively(async () => {
      const drift: string[] = [];
      if (this.#inSync) {
        // Changes not applied yet would look like drift.
        await this.#applyNow();
        drift.push(...(await this.#sets.check()).map(setSubject));
        const tables = await Promise.all(
          this.#tables.map(async (table) => (await table.check()).map((chain) => chainSubject(table, chain))),
        );
        drift.push(...tables.flat());
      }
      const { checkMs } = this.#pace;
      const result = await this.#applyNow();
      // What was told meanwhile and is written now has not been checked.
      if (drift.length === 0 && result.linesWritten === 0) this.#pace.foundNothing(checkMs);
      return { ...result, checkAfterMs: this.#pace.checkMs, drift };
    });
  }

  /** Whether the endpoint's chains and published ports, as last told, are in the kernel in both families. */
  isReady(endpointId: string): boolean {
    return this.#readiness.isReady(endpointId);
  }

  /** Ends the tools that stay, after the work at hand. What is in the kernel remains; nothing may be applied any more. */
  async close(): Promise<void> {
    await this.#work;
    await Promise.all(FAMILIES.map((family) => this.#channels?.[family].close()));
    this.#setDriver.close();
  }

  /** For status: what is in force and what is failing. */
  inspect(): PolicyStatus {
    const { model } = this.#desired;
    return {
      backend: this.#backend,
      inSync: this.#inSync,
      endpoints: [...model.endpointIds()].length,
      readyEndpoints: this.#readiness.count,
      policies: model.policyCount,
      sets: model.setCount,
      kernelSets: this.#sets.kernelCount,
      tables: this.#tables.map((table) => ({
        family: table.family,
        table: table.name,
        chains: table.chainCount,
        ...table.counters,
      })),
      failures: this.#failures,
      lastApplyMs: this.#lastApplyMs,
    };
  }

  #makeTables(backend: IptablesBackend): Table[] {
    const run = this.#run;
    const { lockWaitSec } = this.#options;
    const channelOf = (family: Family) =>
      new RestoreChannel({ family, backend, run, start: this.#startTool, lockWaitSec });
    const channels = { ipv4: channelOf('ipv4'), ipv6: channelOf('ipv6') };
    this.#channels = channels;
    return renderStaticTables(this.#desired.model.context).map(
      (table) => new Table(table, { backend, run, channel: channels[table.family] }),
    );
  }

  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    const run = async () => {
      this.#isWorking = true;
      try {
        return await task();
      } finally {
        this.#isWorking = false;
        this.#takeIn();
      }
    };
    const result = this.#work.then(run, run);
    this.#work = result.catch(() => undefined);
    return result;
  }

  #takeIn(): void {
    for (const change of this.#queue) this.#desired.change(change);
    this.#queue.length = 0;
  }

  async #applyNow(): Promise<ApplyResult> {
    if (!this.#inSync || this.#tables.length === 0) {
      return {
        state: 'waiting-for-sync',
        failures: this.#failures,
        becameReady: [],
        notReady: this.#readiness.waiting(),
        linesWritten: 0,
        checkAfterMs: this.#pace.checkMs,
      };
    }
    const { model, nat } = this.#desired;
    const startedAt = performance.now();
    this.#takeIn();
    // Endpoints that change from here on are looked at after the next run.
    const waiting = this.#readiness.waiting();
    await this.#probe();
    await this.#desired.render(this.#tables);

    const failures: PolicyFailure[] = [...model.problems];
    const setFailures = await this.#sets.apply('full');
    failures.push(...setFailures.map(setFailure));
    const blocked = this.#desired.chainsUsing(
      setFailures.flatMap(({ name }) => (name === undefined ? [] : [name])),
    );
    const results = await Promise.all(
      this.#tables.map(async (table) => ({ table, ...(await table.apply('full', blocked)) })),
    );
    for (const { table, failures: list } of results) {
      if (table.name === 'nat' && !nat.isWanted(table.family)) continue;
      failures.push(...tableFailures(table, list));
    }
    failures.push(...this.#flows.forget(nat, this.#tables));
    failures.push(...(await this.#sets.destroyUnwanted()).map(setFailure));

    const linesWritten = results.reduce((sum, result) => sum + result.linesWritten, 0);
    const becameReady = this.#updateReady(waiting);
    this.#failures = failures;
    this.#lastApplyMs = performance.now() - startedAt;
    if (linesWritten > 0) this.#pace.wrote();
    const base = {
      failures,
      becameReady,
      notReady: this.#readiness.waiting(),
      linesWritten,
      checkAfterMs: this.#pace.checkMs,
    };
    // What the model finds wrong is put right by another change, not by trying again.
    if (failures.length === model.problems.length) {
      this.#pace.succeeded();
      return { state: failures.length === 0 ? 'applied' : 'failing', ...base };
    }
    return { state: 'failing', ...base, retryAfterMs: this.#pace.failed() };
  }

  async #probe(): Promise<void> {
    const backend = this.#backend;
    if (backend === undefined) return;
    const { nat } = this.#desired;
    const wait = this.#options.lockWaitSec ?? DEFAULT_LOCK_WAIT_SEC;
    for (const family of nat.familiesToProbe()) {
      const isSupported = await probeRandomFully(this.#run, backend, family, wait);
      if (isSupported !== undefined) nat.setRandomFully(family, isSupported);
    }
  }

  #updateReady(candidates: readonly string[]): string[] {
    const changedMeanwhile = new Set(this.#queue.flatMap((change) => ('id' in change ? [change.id] : [])));
    return this.#readiness.update(
      candidates,
      (id) => !changedMeanwhile.has(id) && this.#desired.isProgrammed(id, this.#tables),
    );
  }
}

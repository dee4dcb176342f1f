/**
 * Enforces policy and address translation in the kernel: takes changes, keeps chains and sets of both families as desired, and tells which endpoints are
 * protected, so that their links may come up. Order: sets, then rules (each table in one restore), then deletion of sets.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { FAMILIES, type Family } from '../src/net/address.ts';
import { type CommandRunner, commandRunner, type ToolStarter, toolStarter } from './command.ts';
import { ipsetTool, type SetDriver } from './ipset/commands.ts';
import { KernelSets } from './ipset/kernel-sets.ts';
import { NatSets } from './ipset/nat-sets.ts';
import { NetlinkSetDriver } from './ipset/netlink-driver.ts';
import { PolicySets } from './ipset/policy-sets.ts';
import { chainsInOtherBackend, detectBackend, type IptablesBackend } from './iptables/backend.ts';
import { probeRandomFully } from './iptables/probe.ts';
import { RestoreChannel } from './iptables/restore-channel.ts';
import { Table } from './iptables/table.ts';
import { DIRECTIONS, policyChainName, setIdOfKernelName } from './rules/names.ts';
import { MASQUERADE_SET_ID, NAT_OUTGOING_CHAIN, NatModel, POOLS_SET_ID, PUBLISH_CHAIN } from './rules/nat.ts';
import { DEFAULT_RULES_OPTIONS, type RulesOptions } from './rules/options.ts';
import { PolicyModel } from './rules/policy-model.ts';
import { renderStaticTables, type TableName } from './rules/static-chains.ts';
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

/** Something that is not as desired. */
export interface PolicyFailure {
  /** `policy ID`, `endpoint ID`, `set NAME`, `chain NAME (ipv4 filter)`, `table ipv6 raw`, `sets`, `connection tracking` */
  readonly subject: string;
  readonly reason: string;
}

export interface StartResult {
  readonly backend: IptablesBackend;
  /** what a person should put right, each with its cure */
  readonly warnings: readonly string[];
}

export interface ApplyResult {
  /** `waiting-for-sync`: nothing was written, since `markInSync` has not been called */
  readonly state: 'applied' | 'failing' | 'waiting-for-sync';
  readonly failures: readonly PolicyFailure[];
  /** endpoints that became ready by this call */
  readonly becameReady: readonly string[];
  /** endpoints that are not ready */
  readonly notReady: readonly string[];
  /** lines of iptables-restore input that took effect, all tables */
  readonly linesWritten: number;
  /** call `apply` again after this time: doubles with each failing call, 100 ms to 30 s */
  readonly retryAfterMs?: number;
  /** call `check` after this time: 5 s after a write, doubling with each check that finds nothing to 180 s */
  readonly checkAfterMs: number;
}

export interface CheckResult extends ApplyResult {
  /** `chain NAME (ipv4 filter)`, `set NAME`: what someone else had changed and is now put right unless it is among the failures */
  readonly drift: readonly string[];
}

/** For status and metrics. */
export interface PolicyStatus {
  readonly backend: IptablesBackend | undefined;
  readonly inSync: boolean;
  readonly endpoints: number;
  readonly readyEndpoints: number;
  readonly policies: number;
  readonly sets: number;
  readonly kernelSets: number;
  readonly tables: readonly {
    readonly family: Family;
    readonly table: TableName;
    readonly chains: number;
    readonly restoreCalls: number;
    readonly busy: number;
  }[];
  readonly failures: readonly PolicyFailure[];
  readonly lastApplyMs: number | undefined;
}

/** rendered between two turns of the event loop: a few milliseconds */
const CHAINS_PER_SLICE = 40;
const DEFAULT_LOCK_WAIT_SEC = 10;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
const FIRST_CHECK_MS = 5_000;
const MAX_CHECK_MS = 180_000;

/** Owns the policy state of this host. All methods may be called at any time; kernel work is done one call after the other. */
export class PolicyProgrammer {
  readonly #options: PolicyProgrammerOptions;
  readonly #run: CommandRunner;
  readonly #startTool: ToolStarter | undefined;
  readonly #model: PolicyModel;
  readonly #setDriver: SetDriver;
  readonly #sets: KernelSets;
  readonly #policySets: PolicySets;
  readonly #nat = new NatModel();
  readonly #natSets: NatSets;
  #tables: readonly Table[] = [];
  #channels: Readonly<Record<Family, RestoreChannel>> | undefined;
  #backend: IptablesBackend | undefined;
  #inSync = false;
  #straysForgotten = false;

  readonly #queue: (PolicyChange | NatChange)[] = [];
  #isWorking = false;
  #work: Promise<unknown> = Promise.resolve();
  #nextApply: Promise<ApplyResult> | undefined;

  readonly #ready = new Set<string>();
  /** endpoints to look at after the next apply: changed, or not ready before */
  readonly #waiting = new Set<string>();
  #failures: readonly PolicyFailure[] = [];
  #retryMs = FIRST_RETRY_MS;
  #checkMs = FIRST_CHECK_MS;
  #lastApplyMs: number | undefined;

  /** Throws a RangeError when the mark mask has fewer than five bits. */
  constructor(options: PolicyProgrammerOptions = {}) {
    this.#options = options;
    this.#run = options.run ?? commandRunner();
    this.#startTool = options.startTool ?? (options.run === undefined ? toolStarter() : undefined);
    this.#model = new PolicyModel({ ...DEFAULT_RULES_OPTIONS, ...options.rules });
    const tool = ipsetTool(this.#run);
    this.#setDriver = options.sets ?? (options.run === undefined ? new NetlinkSetDriver(tool) : tool);
    this.#sets = new KernelSets({
      driver: this.#setDriver,
      ...(options.maxSetElem === undefined ? {} : { maxElem: options.maxSetElem }),
    });
    this.#policySets = new PolicySets(this.#sets);
    this.#natSets = new NatSets(this.#sets);
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
      if (change.kind === 'endpoint-upsert' || change.kind === 'published-upsert') {
        this.#ready.delete(change.id);
        this.#waiting.add(change.id);
      } else if (change.kind === 'endpoint-remove') {
        this.#ready.delete(change.id);
        this.#waiting.delete(change.id);
      }
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
        drift.push(...(await this.#sets.check()).map((name) => `set ${name}`));
        const tables = await Promise.all(
          this.#tables.map(async (table) => (await table.check()).map((chain) => chainSubject(table, chain))),
        );
        drift.push(...tables.flat());
      }
      const checkMs = this.#checkMs;
      const result = await this.#applyNow();
      if (drift.length === 0) this.#checkMs = Math.min(checkMs * 2, MAX_CHECK_MS);
      return { ...result, checkAfterMs: this.#checkMs, drift };
    });
  }

  /** Whether the endpoint's chains and published ports, as last told, are in the kernel in both families. */
  isReady(endpointId: string): boolean {
    return this.#ready.has(endpointId);
  }

  /** Ends the tools that stay, after the work at hand. What is in the kernel remains; nothing may be applied any more. */
  async close(): Promise<void> {
    await this.#work;
    await Promise.all(FAMILIES.map((family) => this.#channels?.[family].close()));
    this.#setDriver.close();
  }

  /** For status: what is in force and what is failing. */
  inspect(): PolicyStatus {
    return {
      backend: this.#backend,
      inSync: this.#inSync,
      endpoints: [...this.#model.endpointIds()].length,
      readyEndpoints: this.#ready.size,
      policies: this.#model.policyCount,
      sets: this.#model.setCount,
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
    return renderStaticTables(this.#model.context).map(
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
    for (const change of this.#queue) {
      if (isNatChange(change)) {
        this.#nat.change(change);
        this.#natSets.change(change);
        continue;
      }
      this.#model.change(change);
      this.#policySets.change(change, (id) => this.#model.isUsable(id));
    }
    this.#queue.length = 0;
  }

  async #applyNow(): Promise<ApplyResult> {
    if (!this.#inSync || this.#tables.length === 0) {
      return {
        state: 'waiting-for-sync',
        failures: this.#failures,
        becameReady: [],
        notReady: [...this.#waiting],
        linesWritten: 0,
        checkAfterMs: this.#checkMs,
      };
    }
    const startedAt = performance.now();
    this.#takeIn();
    // Endpoints that change from here on are looked at after the next run.
    const waiting = [...this.#waiting];
    await this.#probe();
    await this.#render();

    const failures: PolicyFailure[] = [...this.#model.problems];
    const setFailures = await this.#sets.apply('full');
    failures.push(...setFailures.map(setFailure));
    const blocked = this.#chainsUsing(setFailures.flatMap(({ name }) => (name === undefined ? [] : [name])));
    const results = await Promise.all(
      this.#tables.map(async (table) => ({ table, ...(await table.apply('full', blocked)) })),
    );
    for (const { table, failures: list } of results) {
      if (table.name === 'nat' && !this.#nat.isWanted(table.family)) continue;
      failures.push(...tableFailures(table, list));
    }
    failures.push(...this.#forgetFlows());
    failures.push(...(await this.#sets.destroyUnwanted()).map(setFailure));

    const linesWritten = results.reduce((sum, result) => sum + result.linesWritten, 0);
    const becameReady = this.#updateReady(waiting);
    this.#failures = failures;
    this.#lastApplyMs = performance.now() - startedAt;
    if (linesWritten > 0) this.#checkMs = FIRST_CHECK_MS;
    const base = {
      failures,
      becameReady,
      notReady: [...this.#waiting],
      linesWritten,
      checkAfterMs: this.#checkMs,
    };
    // What the model finds wrong is put right by another change, not by trying again.
    if (failures.length === this.#model.problems.length) {
      this.#retryMs = FIRST_RETRY_MS;
      return { state: failures.length === 0 ? 'applied' : 'failing', ...base };
    }
    const retryAfterMs = this.#retryMs;
    this.#retryMs = Math.min(retryAfterMs * 2, MAX_RETRY_MS);
    return { state: 'failing', ...base, retryAfterMs };
  }

  async #probe(): Promise<void> {
    const backend = this.#backend;
    if (backend === undefined) return;
    const wait = this.#options.lockWaitSec ?? DEFAULT_LOCK_WAIT_SEC;
    for (const family of this.#nat.familiesToProbe()) {
      const isSupported = await probeRandomFully(this.#run, backend, family, wait);
      if (isSupported !== undefined) this.#nat.setRandomFully(family, isSupported);
    }
  }

  /** Lets connection tracking forget mappings that came or went and now stand in the kernel as desired. */
  #forgetFlows(): PolicyFailure[] {
    const tables = this.#tables.filter((table) => table.name === 'nat');
    const done = this.#nat
      .stale()
      .filter(({ family }) =>
        tables.some((table) => table.family === family && table.isProgrammed(PUBLISH_CHAIN)),
      );
    try {
      const { flows } = this.#options;
      if (done.length > 0) flows?.forget(done);
      this.#nat.forgetStale(done);
      if (!this.#straysForgotten && tables.every((table) => table.isProgrammed(PUBLISH_CHAIN))) {
        flows?.forgetStrays(this.#nat.pools, this.#nat.ports());
        this.#straysForgotten = true;
      }
      return [];
    } catch (error) {
      // A kernel without ctnetlink is no fault while nothing is published.
      if (done.length === 0 && this.#nat.ports().length === 0) return [];
      const reason = error instanceof Error ? error.message : String(error);
      return [{ subject: 'connection tracking', reason }];
    }
  }

  /** Hands the tables what changed, in slices that leave the event loop to others. */
  async #render(): Promise<void> {
    for (const [chain, content] of this.#nat.drain()) {
      for (const table of this.#tables) {
        if (table.name === 'nat') table.setChain(chain, content[table.family]);
      }
    }
    for (;;) {
      const { chains, hasMore } = this.#model.drain(CHAINS_PER_SLICE);
      for (const [chain, content] of chains) {
        for (const table of this.#tables) {
          if (table.name !== 'filter') continue;
          if (content) table.setChain(chain, content[table.family]);
          else table.removeChain(chain);
        }
      }
      if (!hasMore) return;
      await nextTurn();
    }
  }

  /** Policy chains that name one of the kernel sets: they wait until the sets are right. */
  #chainsUsing(kernelNames: readonly string[]): Map<string, string> {
    const chains = new Map<string, string>();
    for (const name of kernelNames) {
      const id = setIdOfKernelName(name);
      if (id === MASQUERADE_SET_ID || id === POOLS_SET_ID) {
        chains.set(NAT_OUTGOING_CHAIN, `set ${name} is not in the kernel as desired`);
      }
      for (const policy of this.#model.policiesOfSet(id)) {
        for (const direction of DIRECTIONS) {
          chains.set(policyChainName(direction, policy), `set ${name} is not in the kernel as desired`);
        }
      }
    }
    return chains;
  }

  #updateReady(candidates: readonly string[]): string[] {
    const changedMeanwhile = new Set(this.#queue.flatMap((change) => ('id' in change ? [change.id] : [])));
    const becameReady: string[] = [];
    for (const id of candidates) {
      if (changedMeanwhile.has(id) || !this.#isProgrammed(id)) continue;
      this.#ready.add(id);
      this.#waiting.delete(id);
      becameReady.push(id);
    }
    return becameReady;
  }

  #isProgrammed(id: string): boolean {
    const chains = this.#model.chainsOf(id);
    if (chains === undefined) return false;
    return (
      this.#policySets.sourcesAreProgrammed() &&
      this.#tables.every((table) => {
        if (table.name === 'nat') {
          return this.#nat.chainsOf(id, table.family).every((chain) => table.isProgrammed(chain));
        }
        return table.name !== 'filter' || chains.every((chain) => table.isProgrammed(chain));
      })
    );
  }
}

function isNatChange(change: PolicyChange | NatChange): change is NatChange {
  return (
    change.kind === 'nat-pools' || change.kind === 'published-upsert' || change.kind === 'published-remove'
  );
}

function setFailure({ name, reason }: { name: string | undefined; reason: string }): PolicyFailure {
  return { subject: name === undefined ? 'sets' : `set ${name}`, reason };
}

function chainSubject(table: Table, chain: string): string {
  return `chain ${chain} (${table.family} ${table.name})`;
}

function tableFailures(
  table: Table,
  failures: readonly { readonly chain: string | undefined; readonly reason: string }[],
): PolicyFailure[] {
  return failures.map(({ chain, reason }) => ({
    subject: chain === undefined ? `table ${table.family} ${table.name}` : chainSubject(table, chain),
    reason,
  }));
}

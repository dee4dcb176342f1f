/** One table of one family in the kernel: keeps our chains as desired and leaves everything else alone. */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { Family } from '../../src/net/address.ts';
import type { CommandRunner } from '../command.ts';
import { type RenderedRule, renderRules } from '../rules/rendered.ts';
import type { StaticTable, TableName } from '../rules/static-chains.ts';
import { backendCommand, type IptablesBackend, oneLine } from './backend.ts';
import { appendRules, declareChain, editChain, placeJumps, type RestoreLine } from './delta.ts';
import type { RestoreChannel } from './restore-channel.ts';
import type { RestoreOutcome } from './restore-conversation.ts';
import { failedLineNumber, restoreFailure } from './restore-error.ts';
import { parseListing, parseSave, type SavedTable } from './save.ts';

/** A chain, or (without a name) the table, that is not as desired. */
export interface TableFailure {
  readonly chain: string | undefined;
  readonly reason: string;
}

/** What one `apply` did. */
export interface TableApplyResult {
  /** restore input lines that took effect, without `*TABLE` and `COMMIT` */
  readonly linesWritten: number;
  readonly failures: readonly TableFailure[];
}

/**
 * `base`: only make what is missing of the static chains and put the jumps in place; existing chains stay as they are.
 * `full`: make our chains exactly those desired.
 */
export type ApplyMode = 'base' | 'full';

/** How a table is driven. */
export interface TableOptions {
  readonly backend: IptablesBackend;
  readonly run: CommandRunner;
  /** that of the table's family */
  readonly channel: RestoreChannel;
}

/** Tables up to this size are read back after each write; larger ones when `check` is called. */
const VERIFY_AT_ONCE_MAX_RULES = 2_000;
/** compared between two turns of the event loop: a few milliseconds */
const CHAINS_PER_SLICE = 500;
/** Up to so many written chains are read back one by one with the write itself; for more the table is read. */
const LIST_MAX_CHAINS = 64;
const MAX_ATTEMPTS = 24;
const MAX_BUSY = 5;
const FIRST_BUSY_DELAY_MS = 50;

/** Owns our part of one table. Calls of `apply` and `check` must not overlap. */
export class Table {
  readonly family: Family;
  readonly name: TableName;
  readonly #static: StaticTable;
  readonly #options: TableOptions;
  readonly #desired: Map<string, readonly RenderedRule[]>;
  /** chains to compare with the kernel */
  readonly #dirty = new Set<string>();
  readonly #failures = new Map<string | undefined, string>();
  /** what the kernel holds, if known */
  #kernel: SavedTable | undefined;
  /** compare everything with the kernel, not only `#dirty` */
  #compareAll = true;
  /** our rules in the kernel, about */
  #ruleCount = 0;
  /** whether restore takes `-S CHAIN`, as far as is known */
  #canList = true;
  #restoreCalls = 0;
  #busyCount = 0;

  constructor(staticTable: StaticTable, options: TableOptions) {
    this.family = staticTable.family;
    this.name = staticTable.table;
    this.#static = staticTable;
    this.#options = options;
    this.#desired = new Map(staticTable.chains);
  }

  /** Restores run and refused for a busy lock since the start. */
  get counters(): { readonly restoreCalls: number; readonly busy: number } {
    return { restoreCalls: this.#restoreCalls, busy: this.#busyCount };
  }

  /** Our chains in the kernel, as last read or written. */
  get chainCount(): number {
    return this.#kernel?.chains.size ?? 0;
  }

  /** Sets the rules of a chain. Nothing is written before `apply`. */
  setChain(chain: string, rules: readonly RenderedRule[]): void {
    this.#desired.set(chain, rules);
    this.#dirty.add(chain);
  }

  /** Removes a chain of ours. */
  removeChain(chain: string): void {
    if (this.#desired.delete(chain)) this.#dirty.add(chain);
  }

  /** Forgets what the kernel is believed to hold: the next `apply` reads it again. */
  markDirty(): void {
    this.#kernel = undefined;
  }

  /** Whether the chain stands in the kernel as desired, as far as is known. */
  isProgrammed(chain: string): boolean {
    return (
      this.#desired.has(chain) &&
      !this.#dirty.has(chain) &&
      !this.#failures.has(chain) &&
      !this.#failures.has(undefined)
    );
  }

  /** Reads the table and returns the chains (of ours, or builtin ones for our jumps) that are not as desired. Writes nothing. */
  async check(): Promise<string[]> {
    const problem = await this.#read();
    if (problem !== undefined) {
      this.#failures.set(undefined, problem);
      return [];
    }
    const { lines } = await this.#delta('full', new Map());
    return [...new Set(lines.map((line) => line.chain))];
  }

  /**
   * Makes the table as desired in one restore. `blocked` are chains that must not be changed now, with the reason: they keep their
   * content, or drop everything if they do not exist. So does a chain that the kernel refuses, which is then tried again at the next
   * call. Returns what failed; everything else is in the kernel.
   */
  async apply(mode: ApplyMode, blocked: ReadonlyMap<string, string> = new Map()): Promise<TableApplyResult> {
    const held = new Map(blocked);
    let linesWritten = 0;
    let busy = 0;
    let wasRead = false;
    let lastReason = '';
    // What failed the last time is tried again.
    for (const chain of this.#failures.keys()) if (chain !== undefined) this.#dirty.add(chain);
    this.#failures.clear();

    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (this.#kernel === undefined) {
        const problem = await this.#read();
        if (problem !== undefined) return this.#finish(linesWritten, held, problem);
        wasRead = true;
      }
      const delta = await this.#delta(mode, held);
      if (delta.lines.length === 0) {
        this.#commit(delta, mode);
        return this.#finish(linesWritten, held, undefined);
      }
      const listed = this.#chainsToList(delta);
      const outcome = await this.#restore(delta.lines, listed);
      if (outcome.status === 0 || this.#isOnlyListingRefused(outcome, delta, listed)) {
        linesWritten += delta.lines.length;
        this.#commit(delta, mode);
        if (this.#ruleCount > VERIFY_AT_ONCE_MAX_RULES || this.#standsAsWritten(outcome, delta, listed)) {
          return this.#finish(linesWritten, held, undefined);
        }
        this.#kernel = undefined; // read back, and put right what is not as written
        continue;
      }
      const failure = restoreFailure(outcome, delta.lines);
      lastReason = failure.reason;
      if (failure.kind === 'busy') {
        this.#busyCount++;
        this.#kernel = undefined;
        if (++busy > MAX_BUSY) break;
        await delay(FIRST_BUSY_DELAY_MS * 2 ** (busy - 1));
      } else if (!wasRead || (failure.kind === 'line' && this.#isBuiltin(failure.line.chain))) {
        // Someone may have changed it since it was read.
        this.#kernel = undefined;
      } else if (failure.kind === 'line' && !held.has(failure.line.chain)) {
        held.set(failure.line.chain, failure.reason);
      } else {
        break;
      }
    }
    this.#kernel = undefined;
    return this.#finish(linesWritten, held, lastReason || 'it does not stay as written');
  }

  #finish(
    linesWritten: number,
    held: ReadonlyMap<string, string>,
    problem: string | undefined,
  ): TableApplyResult {
    for (const [chain, reason] of held) {
      if (this.#desired.has(chain) || this.#kernel?.chains.has(chain)) this.#failures.set(chain, reason);
    }
    if (problem !== undefined) this.#failures.set(undefined, problem);
    return {
      linesWritten,
      failures: [...this.#failures].map(([chain, reason]) => ({ chain, reason })),
    };
  }

  async #read(): Promise<string | undefined> {
    const command = backendCommand(this.family, this.#options.backend, 'save');
    const outcome = await this.#options.run(command, ['-t', this.name]);
    if (outcome.status !== 0) {
      return `${command} -t ${this.name}: ${oneLine(outcome.stderr || outcome.stdout)}`;
    }
    this.#kernel = parseSave(outcome.stdout, this.name);
    this.#ruleCount = this.#kernel.ruleCount;
    this.#compareAll = true;
    return undefined;
  }

  /** Writes, and in the same go lists the chains given. */
  #restore(lines: readonly RestoreLine[], listed: readonly string[] = []): Promise<RestoreOutcome> {
    this.#restoreCalls++;
    const listing =
      listed.length === 0 ? [] : [`*${this.name}`, ...listed.map((chain) => `-S ${chain}`), 'COMMIT'];
    return this.#options.channel.restore([
      `*${this.name}`,
      ...lines.map((line) => line.text),
      'COMMIT',
      ...listing,
    ]);
  }

  /** Chains to read back with the write; undefined where the whole table must be read. */
  #chainsToList({ lines, results }: Delta): readonly string[] | undefined {
    const written = new Set(lines.map(({ chain }) => chain));
    if (!this.#canList || this.#ruleCount > VERIFY_AT_ONCE_MAX_RULES) return undefined;
    if ([...written].some((chain) => this.#isBuiltin(chain))) return undefined;
    const standing = [...written].filter((chain) => results.get(chain) !== undefined);
    return standing.length > LIST_MAX_CHAINS ? undefined : standing;
  }

  /** Whether the write took effect and an older iptables does not list: that line comes after COMMIT. */
  #isOnlyListingRefused(
    outcome: RestoreOutcome,
    { lines }: Delta,
    listed: readonly string[] | undefined,
  ): boolean {
    const isRefused = listed !== undefined && (failedLineNumber(outcome) ?? 0) > lines.length + 2;
    if (isRefused) this.#canList = false;
    return isRefused;
  }

  #standsAsWritten(
    outcome: RestoreOutcome,
    { results }: Delta,
    listed: readonly string[] | undefined,
  ): boolean {
    if (listed === undefined || outcome.status !== 0) return false;
    const found = parseListing(outcome.stdout);
    return listed.every((chain) => {
      const hashes = results.get(chain);
      const stands = found.get(chain);
      return (
        stands !== undefined &&
        stands.length === hashes?.length &&
        stands.every((hash, index) => hash === hashes[index])
      );
    });
  }

  #isBuiltin(chain: string): boolean {
    return this.#static.jumps.some((jump) => jump.builtin === chain);
  }

  async #delta(mode: ApplyMode, held: ReadonlyMap<string, string>): Promise<Delta> {
    const kernel = this.#kernel;
    const candidates = this.#compareAll
      ? new Set([...this.#desired.keys(), ...(kernel?.chains.keys() ?? [])])
      : this.#dirty;
    const declared: RestoreLine[] = [];
    const changed: RestoreLine[] = [];
    const deleted: RestoreLine[] = [];
    const results = new Map<string, string[] | undefined>();
    let compared = 0;
    for (const chain of candidates) {
      if (++compared % CHAINS_PER_SLICE === 0) await nextTurn();
      const current = kernel?.chains.get(chain);
      let desired = this.#desired.get(chain);
      if (held.has(chain)) {
        if (current !== undefined || desired === undefined) continue;
        // The nat table takes no DROP: without its rules nothing is translated there.
        const target = this.name === 'nat' ? '-j RETURN' : '-j DROP';
        desired = renderRules(chain, [{ matches: [], target, comment: 'cannot be programmed' }]);
      }
      if (current === undefined) {
        if (desired === undefined) continue;
        declared.push(declareChain(chain));
        changed.push(...appendRules(chain, desired));
      } else if (mode === 'base') {
        continue;
      } else if (desired === undefined) {
        // Emptied first, so that chains that refer to each other can go together.
        declared.push(declareChain(chain));
        deleted.push({ chain, text: `-X ${chain}` });
      } else {
        changed.push(...editChain(chain, current, desired));
      }
      results.set(
        chain,
        desired?.map((rule) => rule.hash),
      );
    }
    const jumps = placeJumps(this.#static.jumps, kernel?.builtins ?? new Map());
    return { lines: [...declared, ...changed, ...jumps, ...deleted], results };
  }

  #commit(delta: Delta, mode: ApplyMode): void {
    const kernel = this.#kernel;
    if (kernel === undefined) return;
    for (const [chain, hashes] of delta.results) {
      this.#ruleCount += (hashes?.length ?? 0) - (kernel.chains.get(chain)?.length ?? 0);
      if (hashes === undefined) kernel.chains.delete(chain);
      else kernel.chains.set(chain, hashes);
    }
    kernel.builtins.clear();
    for (const { builtin, rule } of this.#static.jumps) {
      const rules = kernel.builtins.get(builtin) ?? [];
      rules.push({ hash: rule.hash, position: rules.length + 1, text: rule.text });
      kernel.builtins.set(builtin, rules);
    }
    if (mode === 'full') {
      this.#compareAll = false;
      this.#dirty.clear();
    }
  }
}

interface Delta {
  readonly lines: readonly RestoreLine[];
  /** hashes of each compared chain once the lines took effect; undefined: gone */
  readonly results: ReadonlyMap<string, string[] | undefined>;
}

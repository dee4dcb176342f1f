/** The bodies of `ocicat datastore`. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, readConfig } from '../agent/config.ts';
import type { StoreConfig } from '../agent/store-config.ts';
import { StoreError } from '../store/errors.ts';
import { Cluster } from '../store/etcd/cluster.ts';
import { checkEndpoints } from '../store/etcd/endpoints.ts';
import {
  clusterInformation,
  formatStream,
  ipamSection,
  parseIpamSection,
  parseStream,
  resourceDocuments,
  UnreadableStream,
} from '../store/transfer/calico-stream.ts';
import type { Entry } from '../store/transfer/entry.ts';
import {
  openEtcdPlace,
  openFilePlace,
  type Place,
  setReady,
  TransferFailed,
} from '../store/transfer/places.ts';
import { carryOut, type GroupCount, type Plan, planTransfer } from '../store/transfer/transfer.ts';
import type { WriteOptions } from './commands/datastore.ts';
import { type CommandContext, CommandFailure, EXIT } from './context.ts';
import { type InputText, readInputs } from './input.ts';
import { renderTable } from './output/table.ts';

const IPAM_FILE = 'ipam.json';
const CLUSTER_INFORMATION_FILE = 'clusterinformations.default.json';
const MAX_SHOWN = 20;

/** Writes a store's contents to a file, a folder or standard output. */
export async function exportStore(
  context: CommandContext,
  from: string | undefined,
  target: string,
): Promise<void> {
  await withPlace(from, 'read', async (place) => {
    const entries = await place.read();
    if (target === '-') {
      context.terminal.out(formatStream(entries));
      return;
    }
    const isFolder = target.endsWith('/') || isDirectory(target);
    try {
      // Passwords may stand in resources.
      if (isFolder) writeFolder(target, entries);
      else writeFileSync(target, formatStream(entries), { mode: 0o600 });
    } catch (error) {
      throw new CommandFailure(`${target} cannot be written: ${messageOf(error)}`);
    }
    context.terminal.err(`${entries.length} entries of ${place.name} written to ${target}\n`);
  });
}

/** Takes files over into a store. */
export async function importStore(
  context: CommandContext,
  files: readonly string[],
  to: string | undefined,
  options: WriteOptions,
): Promise<void> {
  const inputs = await readInputs(files);
  const entries = readEntries(inputs);
  await withPlace(to, 'write', async (place) => await transfer(context, entries, place, options));
}

/** Brings everything from one store into another. The source stays locked when it has worked. */
export async function migrateStore(
  context: CommandContext,
  from: string | undefined,
  to: string,
  options: WriteOptions,
): Promise<void> {
  await withPlace(from, 'read', async (source) => {
    await withPlace(to, 'write', async (target) => {
      if (source.name === target.name)
        throw new CommandFailure('source and target are one store', EXIT.usage);
      const unlock = options.dryRun === true ? async () => {} : await source.lock();
      let isDone = false;
      try {
        await transfer(context, await source.read(), target, options);
        isDone = true;
      } finally {
        if (!isDone) await unlock();
      }
      if (options.dryRun === true) return;
      context.terminal.err(
        `${source.name} is left as it is; if it is an etcd it stays locked, until "ocicat datastore unlock". Point the agents at ${target.name} now.\n`,
      );
    });
  });
}

/** Locks or unlocks an etcd. */
export async function lockStore(
  context: CommandContext,
  store: string | undefined,
  isLocked: boolean,
): Promise<void> {
  const config = resolveStore(store);
  if (config.kind === 'file') {
    throw new CommandFailure('only an etcd is locked; of the embedded store, stop the agent', EXIT.usage);
  }
  const cluster = new Cluster(config.etcd);
  try {
    const wasReady = await guarded(async () => await setReady(cluster, !isLocked));
    const already = wasReady === !isLocked ? 'was already' : 'is';
    context.terminal.out(`the datastore ${already} ${isLocked ? 'locked' : 'unlocked'}\n`);
  } finally {
    cluster.close();
  }
}

async function transfer(
  context: CommandContext,
  entries: readonly Entry[],
  target: Place,
  options: WriteOptions,
): Promise<void> {
  const plan = planTransfer(entries, await target.read(), target, {
    overwrite: options.overwrite === true,
    leaveOut: options.leaveOut === true,
  });
  showPlan(context, plan);
  if (plan.obstacles.length > 0) {
    const shown = plan.obstacles.slice(0, MAX_SHOWN).map((each) => `  ${each}`);
    const more = plan.obstacles.length > MAX_SHOWN ? `\n  and ${plan.obstacles.length - MAX_SHOWN} more` : '';
    throw new CommandFailure(
      `nothing was written to ${target.name}; this stands against it:\n${shown.join('\n')}${more}`,
      EXIT.usage,
    );
  }
  if (options.dryRun === true) {
    context.terminal.out(`dry run: ${plan.writes.length} entries would be written to ${target.name}\n`);
    return;
  }
  if (plan.writes.length > 0) await carryOut(plan, target);
  context.terminal.out(`${plan.writes.length} entries written to ${target.name}\n`);
}

function showPlan({ terminal }: CommandContext, plan: Plan): void {
  const number = (pick: (row: GroupCount) => number) => (row: GroupCount) => String(pick(row));
  terminal.out(
    renderTable<GroupCount>(
      [
        { title: 'WHAT', cell: ({ group }) => group },
        { title: 'NEW', align: 'right', cell: number(({ created }) => created) },
        { title: 'REPLACED', align: 'right', cell: number(({ replaced }) => replaced) },
        { title: 'SAME', align: 'right', cell: number(({ unchanged }) => unchanged) },
        { title: 'LEFT OUT', align: 'right', cell: number(({ leftOut }) => leftOut) },
      ],
      plan.groups,
      terminal.colour,
    ),
  );
  for (const sentence of plan.leftOut) terminal.err(`left out: ${sentence}\n`);
}

function readEntries(inputs: readonly InputText[]): readonly Entry[] {
  try {
    const entries = inputs.flatMap(({ file, text }) =>
      file.endsWith(`/${IPAM_FILE}`) ? parseIpamSection(file, text) : parseStream(file, text, Date.now()),
    );
    const seen = new Set<string>();
    for (const { key } of entries) {
      if (seen.has(key)) throw new UnreadableStream([`${key} stands in the input twice`]);
      seen.add(key);
    }
    return entries;
  } catch (error) {
    if (!(error instanceof UnreadableStream)) throw error;
    const lines = error.reasons.slice(0, MAX_SHOWN).map((reason) => `  ${reason}`);
    throw new CommandFailure(`the input has faults, nothing was written:\n${lines.join('\n')}`, EXIT.usage);
  }
}

function writeFolder(folder: string, entries: readonly Entry[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (readdirSync(folder).length > 0) throw new Error('the folder is not empty');
  for (const [name, text] of resourceDocuments(entries)) {
    writeFileSync(join(folder, `${name}.yaml`), text, { mode: 0o600 });
  }
  writeFileSync(join(folder, CLUSTER_INFORMATION_FILE), clusterInformation(entries), { mode: 0o600 });
  writeFileSync(join(folder, IPAM_FILE), ipamSection(entries), { mode: 0o600 });
}

async function withPlace(
  store: string | undefined,
  use: 'read' | 'write',
  work: (place: Place) => Promise<void>,
): Promise<void> {
  const config = resolveStore(store);
  await guarded(async () => {
    const place = config.kind === 'file' ? await openFilePlace(config.path, use) : openEtcdPlace(config.etcd);
    try {
      await work(place);
    } finally {
      await place.close();
    }
  });
}

function resolveStore(text: string | undefined): StoreConfig {
  const [, kind, rest = ''] = /^(file|etcd|config):(.+)$/.exec(text ?? '') ?? [];
  try {
    if (text === undefined) return readConfig(undefined, process.env).store;
    if (kind === 'config') return readConfig(rest, {}).store;
  } catch (error) {
    if (error instanceof ConfigError) throw new CommandFailure(error.message, EXIT.usage);
    throw error;
  }
  if (kind === 'file' && rest.startsWith('/')) return { kind: 'file', path: rest };
  if (kind === 'etcd') {
    const etcd = { endpoints: rest.split(',') };
    const [fault] = checkEndpoints(etcd);
    if (fault !== undefined) throw new CommandFailure(`${text}: ${fault.reason}`, EXIT.usage);
    return { kind: 'etcd', path: '', etcd };
  }
  throw new CommandFailure(
    `"${text}" names no store: use file:/PATH, etcd:http://HOST:PORT or config:/PATH`,
    EXIT.usage,
  );
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StoreError || error instanceof TransferFailed)
      throw new CommandFailure(error.message);
    throw error;
  }
}

function isDirectory(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

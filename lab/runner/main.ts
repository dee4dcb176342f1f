/**
 * The lab: builds a topology of Ocicat hosts and real routers, waits until it has converged, shows it, checks it, and takes
 * it down. Started by lab/run.sh (`npm run lab`).
 */
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { checkLab, type PhaseResult } from './check.ts';
import { type Checks, parseChecks } from './checks-file.ts';
import { ContainerlabEngine } from './containerlab.ts';
import type { Engine } from './engine.ts';
import { NamespaceEngine } from './namespaces.ts';
import { LabError } from './process.ts';
import { showLab, showReach } from './show.ts';
import { parseTopology } from './topology.ts';
import { FileError } from './yaml-reader.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const TOPOLOGIES = join(ROOT, 'lab/topologies');

interface Options {
  readonly topology: string;
  readonly name?: string;
  readonly engine: 'namespaces' | 'containerlab';
  readonly keep?: boolean;
}

interface Lab {
  readonly name: string;
  readonly engine: Engine;
  readonly checks: Checks;
}

const colour = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
const paint = (code: string, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
const title = (text: string) => paint('1', text);
const print = (text: string) => process.stdout.write(`${text}\n`);
const begin = performance.now();
const progress = (line: string) =>
  print(`${paint('2', `[${((performance.now() - begin) / 1000).toFixed(1).padStart(5)} s]`)} ${line}`);

async function openLab(options: Options): Promise<Lab> {
  const file = join(TOPOLOGIES, `${options.topology}.clab.yml`);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) {
    const all = (await readdir(TOPOLOGIES)).filter((name) => name.endsWith('.clab.yml'));
    const names = all.map((name) => name.slice(0, -'.clab.yml'.length)).sort();
    throw new LabError(`there is no topology "${options.topology}"; there are ${names.join(', ')}`);
  }
  const topology = parseTopology(`lab/topologies/${options.topology}.clab.yml`, text);
  const checksFile = join(TOPOLOGIES, options.topology, 'checks.yml');
  const checks = parseChecks(
    `lab/topologies/${options.topology}/checks.yml`,
    await readFile(checksFile, 'utf8'),
  );
  const name = options.name ?? topology.name;
  const engine =
    options.engine === 'containerlab'
      ? new ContainerlabEngine(name, topology, file, ROOT)
      : new NamespaceEngine(name, topology, file, ROOT);
  return { name, engine, checks };
}

/** Ctrl-C and kill end the lab's own work; a second one ends the process at once. */
function stopOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort(new LabError(`stopped by ${signal}`));
    });
  }
  return controller.signal;
}

async function needUp(lab: Lab): Promise<void> {
  if (await lab.engine.isUp()) return;
  throw new LabError(`the lab ${lab.name} is not up; start it with: npm run lab -- up ${lab.name}`);
}

function verdict(results: readonly PhaseResult[]): number {
  print(`\n${title('checks')}`);
  for (const { title: name, problems } of results) {
    print(`  ${problems.length === 0 ? paint('32', 'ok    ') : paint('31', 'FAILED')}  ${name}`);
    for (const problem of problems) print(`            ${problem}`);
  }
  const failed = results.filter((result) => result.problems.length > 0).length;
  print(failed === 0 ? `all ${results.length} held` : `${failed} of ${results.length} did not hold`);
  return failed === 0 ? 0 : 1;
}

/** Builds, checks phase by phase, shows the converged lab after the first, takes down. */
async function runAll(options: Options): Promise<number> {
  const lab = await openLab(options);
  const signal = stopOnSignals();
  const { engine } = lab;
  try {
    await engine.up({ progress, signal });
    const results = await checkLab(engine, lab.checks, {
      progress,
      signal,
      onPhase: async (result) => {
        if (result.title === lab.checks.phases[0]?.title) await showLab(engine, print, title);
        showReach(result, print, title);
        print('');
      },
    });
    return verdict(results);
  } finally {
    if (options.keep === true) {
      await engine.release();
      progress(
        `kept: look around with "npm run lab -- exec NODE CMD", remove with "npm run lab -- down ${options.topology}"`,
      );
    } else {
      await engine.down(progress);
    }
  }
}

async function up(options: Options): Promise<number> {
  const lab = await openLab(options);
  const signal = stopOnSignals();
  try {
    await lab.engine.up({ progress, signal });
    const results = await checkLab(lab.engine, lab.checks, { progress, signal, firstOnly: true });
    const status = verdict(results);
    await lab.engine.release();
    progress(
      `up: look around with "npm run lab -- show|check|exec", remove with "npm run lab -- down ${options.topology}"`,
    );
    return status;
  } catch (error) {
    if (options.keep !== true) await lab.engine.down(progress);
    else await lab.engine.release();
    throw error;
  }
}

async function show(options: Options): Promise<number> {
  const lab = await openLab(options);
  await needUp(lab);
  await showLab(lab.engine, print, title);
  return 0;
}

async function check(options: Options): Promise<number> {
  const lab = await openLab(options);
  await needUp(lab);
  const results = await checkLab(lab.engine, lab.checks, { progress, signal: stopOnSignals() });
  for (const result of results) showReach(result, print, title);
  return verdict(results);
}

async function down(options: Options): Promise<number> {
  const lab = await openLab(options);
  await lab.engine.down(progress);
  return 0;
}

async function exec(node: string, command: readonly string[], options: Options): Promise<number> {
  const lab = await openLab(options);
  await needUp(lab);
  return lab.engine.attach(node, command);
}

function engineName(text: string): Options['engine'] {
  if (text === 'namespaces' || text === 'containerlab') return text;
  throw new InvalidArgumentError('one of: namespaces, containerlab');
}

function labName(text: string): string {
  if (/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('up to 32 of a-z, 0-9 and "-"');
}

async function main(): Promise<number> {
  let status = 0;
  const program = new Command('npm run lab --');
  const finish = async (work: Promise<number>) => {
    status = await work;
  };
  const merged = (command: Command, topology: string | undefined): Options => ({
    ...command.optsWithGlobals<Omit<Options, 'topology'> & { topology?: string }>(),
    topology: topology ?? 'two-racks',
  });
  program
    .description(
      'A lab of Ocicat hosts and real routers: builds it, waits, shows it, checks it, takes it down.',
    )
    .option('--name NAME', 'what the lab is called on this machine (default: the topology’s name)', labName)
    .option('--engine ENGINE', 'what builds it: namespaces or containerlab', engineName, 'namespaces')
    .option('--keep', 'leave it standing afterwards')
    .showHelpAfterError()
    .enablePositionalOptions();
  const commands: [string, string, (options: Options) => Promise<number>][] = [
    ['run', 'up, show, check and down (the default)', runAll],
    ['up', 'build it and wait until it has converged', up],
    ['show', 'show sessions, routes and endpoints', show],
    ['check', 'check it, phase by phase', check],
    ['down', 'remove it, and whatever is left of it', down],
  ];
  for (const [name, description, action] of commands) {
    program
      .command(`${name} [TOPOLOGY]`, { isDefault: name === 'run' })
      .description(description)
      .option('--name NAME', 'what the lab is called on this machine', labName)
      .option('--engine ENGINE', 'namespaces or containerlab', engineName)
      .option('--keep', 'leave it standing afterwards')
      .action((topology: string | undefined, _options: unknown, command: Command) =>
        finish(action(merged(command, topology))),
      );
  }
  program
    .command('exec NODE CMD...')
    .usage('[--topology TOPOLOGY] NODE CMD...')
    .description('run a command in a node')
    .option('--topology TOPOLOGY', 'which lab', 'two-racks')
    .option('--name NAME', 'what the lab is called on this machine', labName)
    .option('--engine ENGINE', 'namespaces or containerlab', engineName)
    .passThroughOptions()
    .action((node: string, words: string[], options: { topology: string }, command: Command) =>
      finish(exec(node, words, merged(command, options.topology))),
    );
  await program.parseAsync();
  return status;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof LabError || error instanceof FileError || error instanceof Error)) throw error;
  const known = error instanceof LabError || error instanceof FileError;
  process.stderr.write(`lab: ${known ? error.message : (error.stack ?? error.message)}\n`);
  process.exitCode = error.message.startsWith('stopped by SIGINT') ? 130 : 1;
}

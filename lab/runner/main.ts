/**
 * The lab: builds a topology of Ocicat hosts and real routers, waits until it has converged, shows it, checks it, and takes
 * it down. Started by lab/run.sh (`npm run lab`).
 */
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkLab, type PhaseResult } from './check.ts';
import { type Checks, parseChecks } from './checks-file.ts';
import type { Engine } from './engine.ts';
import { NamespaceEngine } from './namespaces.ts';
import { LabError } from './process.ts';
import { showLab, showReach } from './show.ts';
import { NAME, parseTopology } from './topology.ts';
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
  if (options.engine === 'containerlab') throw noContainerlab(options.topology);
  const engine = new NamespaceEngine(name, topology, file, ROOT);
  return { name, engine, checks };
}

/** Where running under containerlab stops today, exactly. */
function noContainerlab(topology: string): LabError {
  return new LabError(
    `the lab does not drive containerlab yet. The topology file is containerlab's own: where containerlab is installed and the
images ocicat-lab/host, ocicat-lab/frr and ocicat-lab/bird have been made (the node's start script is their command, and is
also on PATH as lab-node), "containerlab deploy -t lab/topologies/${topology}.clab.yml" is meant to build the same.
This has not been run. Debian has no package of containerlab. Of the Go module, the proxy that was tried refuses the newest version and most
others ("This module version is not available", 403); it serves v0.48.6 and v0.40.0, but their checksums are not in its checksum database (404),
so "go install" refuses them too, and going round that check is not for a lab to do.`,
  );
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

const USAGE = `Builds a lab of Ocicat hosts and real routers, waits until it has converged, shows it, checks it, takes it down.

usage: npm run lab                      all of it, with the topology two-racks
       npm run lab -- [OPTIONS] [run|up|show|check|down] [TOPOLOGY]
       npm run lab -- [OPTIONS] exec NODE COMMAND...

  run     up, show, check and down (the default)
  up      build it and wait until it has converged
  show    show sessions, routes and endpoints
  check   take it through the phases of its checks file
  down    remove it, and whatever is left of it
  exec    run a command in a node

options: --topology TOPOLOGY   a name from lab/topologies (default two-racks)
         --name NAME           what the lab is called on this machine (default: the topology's own name)
         --engine ENGINE       what builds it: namespaces (default) or containerlab
         --keep                leave it standing afterwards, also when something fails
         --help                this text
`;

const ACTIONS: Readonly<Record<string, (options: Options) => Promise<number>>> = {
  run: runAll,
  up,
  show,
  check,
  down,
};

function usageError(reason: string): LabError {
  return new LabError(`${reason}\n\n${USAGE}`);
}

async function main(): Promise<number> {
  // What follows exec's NODE is the command's own, options included.
  const words = process.argv.slice(2);
  const at = words.indexOf('exec');
  const own = at < 0 ? words : words.slice(0, at + 2);
  const command = at < 0 ? [] : words.slice(at + 2);
  const { values, positionals } = parse(own);
  if (values.help === true) {
    print(USAGE);
    return 0;
  }
  const { engine = 'namespaces', name, keep = false } = values;
  if (engine !== 'namespaces' && engine !== 'containerlab')
    throw usageError(`there is no engine "${engine}"`);
  if (name !== undefined && !NAME.test(name))
    throw usageError(`"${name}" is no name: up to 32 of a-z, 0-9 and "-"`);
  const [first = 'run', ...rest] = positionals;
  const action = Object.hasOwn(ACTIONS, first) ? ACTIONS[first] : undefined;
  const isTopology = action === undefined && first !== 'exec';
  const topology = values.topology ?? (isTopology ? first : first === 'exec' ? undefined : rest.shift());
  const options: Options = {
    topology: topology ?? 'two-racks',
    engine,
    keep,
    ...(name === undefined ? {} : { name }),
  };
  if (first === 'exec') {
    const [node] = rest;
    if (node === undefined || command.length === 0) throw usageError('exec needs a node and a command');
    return exec(node, command, options);
  }
  if (rest.length > 0) throw usageError(`"${rest.join(' ')}" is too much`);
  return (action ?? runAll)(options);
}

function parse(words: string[]) {
  try {
    return parseArgs({
      args: words,
      allowPositionals: true,
      options: {
        topology: { type: 'string' },
        name: { type: 'string' },
        engine: { type: 'string' },
        keep: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error));
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof LabError || error instanceof FileError || error instanceof Error)) throw error;
  const known = error instanceof LabError || error instanceof FileError;
  process.stderr.write(`lab: ${known ? error.message : (error.stack ?? error.message)}\n`);
  process.exitCode = error.message.startsWith('stopped by SIGINT') ? 130 : 1;
}

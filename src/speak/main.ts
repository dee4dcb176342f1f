/** A speaker alone as a process: file, signals, API socket. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { RouteSettings } from '../../fib/programmer.ts';
import { isNeeded } from '../agent/bgp/connected-subnets.ts';
import type { PeerSources } from '../agent/bgp/dynamic.ts';
import { PasswordFiles } from '../agent/bgp/password-files.ts';
import { unnumberedInterfaces } from '../agent/bgp/unnumbered.ts';
import { bgpApiRoutes } from '../agent/bgp-routes.ts';
import { CoalescedTask } from '../agent/coalesced.ts';
import type { Log } from '../agent/log.ts';
import { jsonOfSteps } from '../api/pieces.ts';
import { ApiServer } from '../api/server.ts';
import { releaseStartMemory } from '../release-memory.ts';
import { VERSION } from '../version.ts';
import { type OwnName, readSpeakConfig, type SpeakConfig } from './config.ts';
import { SpeakDaemon, type SpeakDaemonOptions } from './daemon.ts';
import { type HostView, hostView } from './host.ts';
import type { SpeakKernel } from './kernel.ts';
import { SpeakLinks } from './links.ts';
import { SpeakNeighbours } from './neighbours.ts';
import { makePlan, type SpeakPlan } from './plan.ts';
import { onlyAgentKnows, type SpeakState, speakStatus } from './status.ts';
import { FileWatch } from './watch.ts';

/** A stop that takes longer than this is cut short. */
const STOP_TIMEOUT_MS = 10_000;

export interface SpeakOptions {
  readonly file: string;
  /** which Node of the file we are */
  readonly node?: string | undefined;
  readonly listen: SpeakDaemonOptions['listen'];
  /** best routes and static routes go to the kernel; needs CAP_NET_ADMIN */
  readonly fib: boolean;
  /** with `fib`: how our routes are marked, and where they go */
  readonly routes?: RouteSettings;
  /** with `fib`: learned routes are told to others before the kernel has taken them */
  readonly advertiseAtOnce: boolean;
  /** path of the API socket */
  readonly socket: string;
  readonly log: Log;
}

/** The speaker cannot start; each line says what is wrong, where, and what to do. */
export class SpeakFailure extends Error {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.name = 'SpeakFailure';
    this.lines = lines;
  }
}

/** Reads the file and works out what would be done, for `--check`. Throws a SpeakFailure. */
export function checkSpeakFile(file: string, node: string | undefined): SpeakPlan {
  const { config } = read(readText(file), file, node);
  return plan(config, hostView(), file);
}

/** Speaks until SIGTERM or SIGINT. Rejects with a SpeakFailure when it cannot start. */
export async function runSpeak(options: SpeakOptions): Promise<void> {
  const { file, log } = options;
  const text = readText(file);
  let { config, notes } = read(text, file, options.node);
  let kernel: SpeakKernel | undefined;
  plan(config, hostView(), file);
  // Before anything else that takes time: a signal at any moment ends us in order.
  const stopping = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
  });
  if (options.fib) kernel = await openKernel(options);
  const links = new SpeakLinks(log, kernel?.links);
  const daemon = new SpeakDaemon({ log, listen: options.listen, kernel, links });
  const state: SpeakState = { file, startedAt: Date.now(), kernel, findings: [], faults: [] };
  const refuse = (faults: readonly string[]): void => {
    state.faults = faults;
    for (const fault of faults) log.error({}, fault);
    log.error({ faults: faults.length }, 'the configuration is not taken; the last good one stays in force');
  };
  const api = new ApiServer(
    {
      'GET /v1/status': () => ({ jsonPieces: jsonOfSteps(speakStatus(daemon, state)) }),
      ...bgpApiRoutes(daemon),
      ...kernel?.apiRoutes(),
    },
    (error) => log.error({ error }, 'an API call failed'),
    onlyAgentKnows,
    () => daemon.speaker?.hurry(),
  );
  try {
    await api.listen(options.socket);
  } catch (error) {
    kernel?.close();
    throw new SpeakFailure([
      `the API cannot be served at ${options.socket}: ${messageOf(error)}; name another with --socket`,
    ]);
  }
  log.info({ version: VERSION, file, socket: options.socket, fib: options.fib }, 'starting');
  for (const note of notes) log.warn({}, note);
  const passwords = new PasswordFiles(() => apply.trigger());
  const neighbours = new SpeakNeighbours(log, links, () => apply.trigger());
  const host = (): HostView => ({
    ...hostView(),
    ...links.view((subnet) => isNeeded(daemon, subnet)),
    setsRoutes: kernel !== undefined,
    password: passwords.get,
    neighbourOn: neighbours.neighbourOn,
  });
  const apply = new CoalescedTask(
    async () => {
      const { name, labels = {} } = config.node.metadata;
      await neighbours.setInterfaces(unnumberedInterfaces(config.peers, { name, labels }));
      let made = makePlan(config, host(), file);
      // Of links that are not followed nobody knows who is behind them: fast external failover begins with this.
      if (made.ok && !links.isFollowing && hasExternalPeers(made.plan) && (await links.follow()))
        made = makePlan(config, host(), file);
      if (!made.ok) {
        refuse(made.faults);
        return {};
      }
      state.findings = made.plan.findings;
      await daemon.apply(made.plan);
      return {};
    },
    (error) => log.error({ error }, 'the configuration could not be put in force'),
  );
  releaseStartMemory();
  apply.trigger();
  await apply.idle();
  const followed = new FileWatch(
    file,
    text,
    (changed) => {
      const result = readSpeakConfig(changed, file, ownName(options.node));
      if (!result.ok) {
        refuse(result.faults);
        return;
      }
      ({ config, notes } = result);
      state.faults = [];
      for (const note of notes) log.warn({}, note);
      log.info({ file }, 'configuration read anew');
      apply.trigger();
    },
    (error) =>
      log.error({ error: messageOf(error) }, `${file} cannot be followed; the last good one stays in force`),
  );
  // Changed since it was read first?
  followed.read(false);
  process.on('SIGHUP', () => followed.read(true));
  links.onSubnets(() => apply.trigger());
  kernel?.onRoutes(() => daemon.updateStatics());

  const signal = await stopping;
  log.info({ signal }, options.fib ? 'stopping; routes stay in the kernel' : 'stopping');
  const force = setTimeout(() => process.exit(1), STOP_TIMEOUT_MS);
  force.unref();
  followed.close();
  passwords.close();
  await apply.close();
  neighbours.close();
  links.close();
  await api.close();
  await daemon.stop();
  kernel?.close();
  clearTimeout(force);
}

function hasExternalPeers({ peers, ranges }: PeerSources): boolean {
  const all = [...peers.map(({ config }) => config), ...ranges.map(({ range }) => range.template)];
  return all.some(({ localAs, peerAs }) => localAs !== peerAs);
}

function ownName(given: string | undefined): OwnName {
  return { given, host: hostname().toLowerCase() };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new SpeakFailure([`${file} cannot be read: ${messageOf(error)}`]);
  }
}

function read(
  text: string,
  file: string,
  node: string | undefined,
): { config: SpeakConfig; notes: readonly string[] } {
  const result = readSpeakConfig(text, file, ownName(node));
  if (!result.ok) throw new SpeakFailure(result.faults);
  return result;
}

function plan(config: SpeakConfig, host: HostView, file: string): SpeakPlan {
  const made = makePlan(config, host, file);
  if (!made.ok) throw new SpeakFailure(made.faults);
  return made.plan;
}

// The kernel's library is loaded here only: without --fib it takes no memory.
async function openKernel({ log, routes = {}, advertiseAtOnce }: SpeakOptions): Promise<SpeakKernel> {
  try {
    const { SpeakKernel } = await import('./kernel.ts');
    return await SpeakKernel.open(log, routes, advertiseAtOnce);
  } catch (error) {
    throw new SpeakFailure([`--fib: the kernel's routes cannot be read: ${messageOf(error)}`]);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

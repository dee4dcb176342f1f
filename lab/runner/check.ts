/** Takes a lab through the phases of its checks file and says whether all that must hold did hold. */
import { parseAddress } from '../../src/net/address.ts';
import { parsePrefix, prefixContainsAddress } from '../../src/net/prefix.ts';
import type { Checks, Phase, Reach } from './checks-file.ts';
import type { Engine, Progress } from './engine.ts';
import { bgpRoutes, bgpSessions, kernelRoutes, ObservationError } from './observe.ts';
import type { SeenSession } from './parse-tables.ts';
import { Probes } from './probes.ts';
import { LabError, said } from './process.ts';
import { type AttemptResult, attemptsFor, compareReach } from './reach.ts';
import { compareRoutes } from './routes.ts';
import { waitUntilNothing } from './wait.ts';
import { splitWords } from './words.ts';

/** Longer than the hold time of every session in the labs (9 s), several times over. */
const CONVERGENCE_MS = 45_000;
/** How often the whole matrix is tried before what differs counts: packets may still be on a way that is going away. */
const REACH_TRIES = 4;

export interface PhaseResult {
  readonly title: string;
  readonly problems: readonly string[];
  /** What was tried, and what the checks say about it. */
  readonly reach?: { readonly expected: Reach; readonly results: readonly AttemptResult[] };
}

export interface CheckOptions {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Called after each phase. */
  readonly onPhase?: (result: PhaseResult) => Promise<void>;
  /** Only the first phase: the lab as it stands, with nothing done to it. */
  readonly firstOnly?: boolean;
}

/** Runs the phases in order; a phase that fails does not stop the later ones. */
export async function checkLab(
  engine: Engine,
  checks: Checks,
  options: CheckOptions,
): Promise<PhaseResult[]> {
  const { progress, signal } = options;
  const results: PhaseResult[] = [];
  const phases = options.firstOnly === true ? checks.phases.slice(0, 1) : checks.phases;
  let probes: Probes | undefined;
  try {
    for (const [index, phase] of phases.entries()) {
      signal.throwIfAborted();
      progress(`phase ${index + 1} of ${phases.length}: ${phase.title}`);
      await runCommands(engine, phase);
      const problems = await waitUntilNothing(() => routingProblems(engine, phase), {
        timeoutMs: CONVERGENCE_MS,
        signal,
      });
      if (probes === undefined) {
        probes = new Probes(engine, checks);
        await probes.start();
        problems.push(...addressProblems(checks, probes));
      }
      const result = await reachPhase(probes, checks, phase, problems, signal);
      for (const problem of result.problems) progress(`  not as expected: ${problem}`);
      results.push(result);
      await options.onPhase?.(result);
    }
  } finally {
    probes?.close();
  }
  return results;
}

async function runCommands(engine: Engine, phase: Phase): Promise<void> {
  for (const { node, command } of phase.run ?? []) {
    const split = splitWords(command);
    if (!split.ok) throw new LabError(`the command "${command}" ${split.reason}`);
    const finished = await engine.run(node, split.words);
    if (finished.status !== 0) throw new LabError(`${node}: "${command}" failed: ${said(finished)}`);
  }
}

/** What of sessions and routes is not as the phase says; a node that cannot be asked is a problem too. */
async function routingProblems(engine: Engine, phase: Phase): Promise<string[]> {
  const asks: Promise<string[]>[] = [];
  const about = (node: string, problems: Promise<string[]>) =>
    asks.push(problems.then((found) => found.map((problem) => `${node}: ${problem}`)));
  for (const [node, expected] of Object.entries(phase.sessions ?? {})) {
    about(
      node,
      bgpSessions(engine, node).then((seen) => sessionProblems(expected, seen)),
    );
  }
  for (const [node, expected] of Object.entries(phase.bgp ?? {})) {
    about(
      node,
      bgpRoutes(engine, node).then((seen) => compareRoutes(expected, seen)),
    );
  }
  for (const [node, expected] of Object.entries(phase.kernel ?? {})) {
    about(
      `${node}'s kernel`,
      kernelRoutes(engine, node).then((seen) => compareRoutes(expected, seen)),
    );
  }
  const outcomes = await Promise.allSettled(asks);
  return outcomes.flatMap((outcome) => {
    if (outcome.status === 'fulfilled') return outcome.value;
    if (outcome.reason instanceof ObservationError) return [outcome.reason.message];
    throw outcome.reason;
  });
}

function sessionProblems(
  expected: readonly { neighbor: string; as: number }[],
  seen: readonly SeenSession[],
): string[] {
  return expected.flatMap(({ neighbor, as }) => {
    const session = seen.find((candidate) => candidate.neighbor === neighbor);
    if (session === undefined) return [`there is no session with ${neighbor}`];
    if (session.as !== as) return [`the session with ${neighbor} is with AS ${session.as}, not ${as}`];
    return session.state === 'Established' ? [] : [`the session with ${neighbor} is ${session.state}`];
  });
}

function addressProblems(checks: Checks, probes: Probes): string[] {
  return checks.containers.flatMap(({ name, addresses }) => {
    const has = probes.addresses.get(name);
    const found = [has?.ipv4, has?.ipv6].map((text) => parseAddress(text ?? ''));
    return addresses.flatMap((text) => {
      const prefix = parsePrefix(text);
      if (prefix === undefined) return [`${name}: "${text}" in the checks is no prefix`];
      const fits = found.some((address) => address !== undefined && prefixContainsAddress(prefix, address));
      return fits
        ? []
        : [`${name} has no address in ${text} (it has ${has?.ipv4 || 'none'} and ${has?.ipv6 || 'none'})`];
    });
  });
}

async function reachPhase(
  probes: Probes,
  checks: Checks,
  phase: Phase,
  routing: readonly string[],
  signal: AbortSignal,
): Promise<PhaseResult> {
  const { title, reach: expected } = phase;
  if (expected === undefined) return { title, problems: routing };
  const containers = checks.containers.map((container) => container.name);
  const targets = checks.targets.map((target) => target.name);
  const attempts = attemptsFor(containers, targets, checks.ports);
  let results: AttemptResult[] = [];
  let problems: string[] = [];
  for (let i = 0; i < REACH_TRIES; i++) {
    signal.throwIfAborted();
    results = await probes.run(attempts);
    problems = compareReach(expected, results);
    if (problems.length === 0) break;
  }
  return { title, problems: [...routing, ...problems], reach: { expected, results } };
}

/** The probers of a lab's containers: one process in each, asked to reach the others. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Family } from '../../src/net/address.ts';
import type { Checks } from './checks-file.ts';
import type { Engine } from './engine.ts';
import type { ProbeRequest } from './prober-messages.ts';
import { LabError, said } from './process.ts';
import type { Attempt, AttemptResult, Outcome } from './reach.ts';

/** How long an answer may take. What policy drops costs this long each time, so it is short; all tries run at once. */
const ANSWER_MS = 1500;

const outcomes = ['pass', 'timeout', 'refused', 'unreachable', 'wrong'] as const satisfies readonly Outcome[];
const message = z.union([
  z.object({ ready: z.literal(true) }),
  z.object({ id: z.number(), outcome: z.enum(outcomes) }),
]);

/** The addresses of one name, by family. */
export type Addresses = Readonly<Record<Family, string>>;

/** One container's prober. */
class Prober {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();
  readonly #name: string;
  #next = 1;
  #stderr = '';
  readonly ready: Promise<void>;

  constructor(name: string, child: ChildProcessWithoutNullStreams) {
    this.#name = name;
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2000);
    });
    child.stdin.on('error', () => undefined);
    this.ready = new Promise((resolve, reject) => {
      const fail = (reason: string) =>
        reject(new LabError(`the prober in ${name} did not start: ${reason} ${this.#stderr}`.trim()));
      const timer = setTimeout(() => fail('no answer within 15 s'), 15_000);
      child.once('error', (error) => fail(error.message));
      child.once('exit', () => {
        fail('it ended');
        for (const settle of this.#waiting.values()) settle('timeout');
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const value = message.parse(JSON.parse(line));
        if ('ready' in value) {
          clearTimeout(timer);
          resolve();
        } else {
          this.#waiting.get(value.id)?.(value.outcome);
          this.#waiting.delete(value.id);
        }
      });
    });
  }

  /** Tries to reach an address; resolves in any case, soon after `ANSWER_MS` at the latest. */
  probe(address: string, attempt: Attempt): Promise<Outcome> {
    const id = this.#next++;
    const { probe, to } = attempt;
    const request: ProbeRequest = { id, address, probe, expect: to, timeoutMs: ANSWER_MS };
    return new Promise((resolve, reject) => {
      const late = () => reject(new LabError(`the prober in ${this.#name} does not answer: ${this.#stderr}`));
      const timer = setTimeout(late, ANSWER_MS + 15_000);
      this.#waiting.set(id, (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  }

  close(): void {
    this.#child.stdin.end();
  }
}

/** All probers of a lab. */
export class Probes {
  readonly #engine: Engine;
  readonly #checks: Checks;
  readonly #probers = new Map<string, Prober>();
  readonly addresses = new Map<string, Addresses>();

  constructor(engine: Engine, checks: Checks) {
    this.#engine = engine;
    this.#checks = checks;
    for (const { name, addresses } of checks.targets) {
      const [ipv4 = '', ipv6 = ''] = addresses;
      this.addresses.set(name, { ipv4, ipv6 });
    }
  }

  /** Reads the containers' addresses from their own kernels and starts a prober in each. */
  async start(): Promise<void> {
    for (const { name } of this.#checks.containers) {
      this.addresses.set(name, await containerAddresses(this.#engine, name));
      const { node, namespace } = splitName(name);
      const root = this.#engine.projectRoot;
      const script = [
        nodeProgram(root),
        `${root}/lab/runner/prober.ts`,
        name,
        ...this.#checks.ports.map(String),
      ];
      const child = this.#engine.start(node, ['nsenter', `--net=/run/netns/${namespace}`, ...script]);
      this.#probers.set(name, new Prober(name, child));
    }
    await Promise.all([...this.#probers.values()].map((prober) => prober.ready));
  }

  /** Makes all these tries at once. */
  run(attempts: readonly Attempt[]): Promise<AttemptResult[]> {
    return Promise.all(
      attempts.map(async (attempt) => {
        const prober = this.#probers.get(attempt.from);
        const address = this.addresses.get(attempt.to)?.[attempt.family];
        if (prober === undefined || address === undefined) {
          throw new LabError(`${attempt.from} to ${attempt.to}: no such container or target in the checks`);
        }
        return { ...attempt, outcome: await prober.probe(address, attempt) };
      }),
    );
  }

  close(): void {
    for (const prober of this.#probers.values()) prober.close();
    this.#probers.clear();
  }
}

/** The pinned Node in a project at `root`. */
export function nodeProgram(root: string): string {
  return `${root}/node_modules/node-linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}/bin/node`;
}

/** `h1/c1` is the network namespace c1 on the node h1. */
export function splitName(name: string): { node: string; namespace: string } {
  const [node = '', namespace = ''] = name.split('/');
  return { node, namespace };
}

const ipAddresses = z.array(
  z.object({
    addr_info: z.array(z.object({ family: z.string(), local: z.string().optional(), scope: z.string() })),
  }),
);

async function containerAddresses(engine: Engine, name: string): Promise<Addresses> {
  const { node, namespace } = splitName(name);
  const finished = await engine.run(node, ['ip', '-n', namespace, '-j', 'address', 'show', 'dev', 'eth0']);
  if (finished.status !== 0) throw new LabError(`${name}: its addresses cannot be read: ${said(finished)}`);
  const all = ipAddresses.parse(JSON.parse(finished.stdout)).flatMap((link) => link.addr_info);
  const pick = (family: string) =>
    all.find((one) => one.family === family && one.scope === 'global')?.local ?? '';
  return { ipv4: pick('inet'), ipv6: pick('inet6') };
}

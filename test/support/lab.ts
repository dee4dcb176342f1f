/** A topology of lab/topologies built for a test, under a name of its own; what a crashed run left is removed first. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { checkLab } from '../../lab/runner/check.ts';
import { type Checks, parseChecks } from '../../lab/runner/checks-file.ts';
import { NamespaceEngine } from '../../lab/runner/namespaces.ts';
import { parseTopology } from '../../lab/runner/topology.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const LABS = '/run/ocilab';
const silent = (): void => {};

/** A lab that stands. */
export interface TestLab {
  readonly engine: NamespaceEngine;
  readonly checks: Checks;
  /** runs a command in a node; fails unless it exits 0; returns its standard output */
  run(node: string, ...command: readonly string[]): Promise<string>;
  /** takes the lab through these phases; fails with what did not hold */
  check(phases: Checks['phases']): Promise<void>;
  down(): Promise<void>;
}

/** Builds the topology and waits until its first phase holds. */
export async function labUp(topology: string): Promise<TestLab> {
  const file = `${ROOT}/lab/topologies/${topology}.clab.yml`;
  const parsed = parseTopology(file, await readFile(file, 'utf8'));
  const checksFile = `${ROOT}/lab/topologies/${topology}/checks.yml`;
  const checks = parseChecks(checksFile, await readFile(checksFile, 'utf8'));
  for (const stale of staleLabs()) await new NamespaceEngine(stale, parsed, file, ROOT).down(silent);
  const engine = new NamespaceEngine(`ocit-${process.pid}`, parsed, file, ROOT);
  const { signal } = new AbortController();
  const lab: TestLab = {
    engine,
    checks,
    run: async (node, ...command) => {
      const { status, stdout, stderr } = await engine.run(node, command);
      assert.equal(status, 0, `${node}: ${command.join(' ')}: ${stdout}${stderr}`);
      return stdout;
    },
    check: async (phases) => {
      const results = await checkLab(
        engine,
        { ...checks, phases: [...phases] },
        { progress: silent, signal },
      );
      for (const { title, problems } of results) assert.deepEqual(problems, [], title);
    },
    down: () => engine.down(silent),
  };
  try {
    await engine.up({ progress: silent, signal });
    await lab.check(checks.phases.slice(0, 1));
    return lab;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

function staleLabs(): string[] {
  if (!existsSync(LABS)) return [];
  return readdirSync(LABS).filter((name) => {
    const pid = /^ocit-(\d+)$/.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
}

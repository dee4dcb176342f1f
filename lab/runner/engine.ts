/** What builds the nodes and links of a topology and runs things in them: network namespaces, or containerlab itself. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Finished } from './process.ts';
import type { Topology } from './topology.ts';

/** Says what is going on, one line at a time. */
export type Progress = (line: string) => void;

export interface UpOptions {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface Engine {
  readonly topology: Topology;
  /** Where the project is, seen from inside a node. */
  readonly projectRoot: string;
  /** Builds nodes and links, starts what runs in the nodes, then runs the nodes' `exec` lines. Throws a LabError. */
  up(options: UpOptions): Promise<void>;
  /** Says that this run no longer works on the lab, which stays. */
  release(): Promise<void>;
  /** Whether the lab is there (built by whichever run). */
  isUp(): Promise<boolean>;
  /** Runs a command in a node to its end. Does not throw for a command that fails. */
  run(node: string, command: readonly string[], timeoutMs?: number): Promise<Finished>;
  /** Starts a command in a node, its streams as pipes. */
  start(node: string, command: readonly string[]): ChildProcessWithoutNullStreams;
  /** Runs a command in a node on this terminal; resolves to its exit status. */
  attach(node: string, command: readonly string[]): Promise<number>;
  /** The last lines that the node's own processes printed. */
  log(node: string): Promise<string>;
  /** Removes everything, also what a crashed run left. Fine when nothing is there. */
  down(progress: Progress): Promise<void>;
}

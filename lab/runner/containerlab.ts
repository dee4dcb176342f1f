/** The engine that has containerlab itself build the topology file. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Engine } from './engine.ts';
import { type Finished, LabError } from './process.ts';
import type { Topology } from './topology.ts';

export class ContainerlabEngine implements Engine {
  readonly topology: Topology;
  readonly projectRoot = '/opt/ocicat';

  constructor(_lab: string, topology: Topology, _file: string, _projectRoot: string) {
    this.topology = topology;
  }

  async up(): Promise<void> {
    throw new LabError('the containerlab engine is not there yet; leave --engine out');
  }

  async release(): Promise<void> {}

  async isUp(): Promise<boolean> {
    return false;
  }

  run(): Promise<Finished> {
    throw new LabError('the containerlab engine is not there yet');
  }

  start(): ChildProcessWithoutNullStreams {
    throw new LabError('the containerlab engine is not there yet');
  }

  attach(): Promise<number> {
    throw new LabError('the containerlab engine is not there yet');
  }

  async log(): Promise<string> {
    return '';
  }

  async down(): Promise<void> {}
}

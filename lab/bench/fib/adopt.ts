/** A start on a kernel that holds all routes already, of an earlier life: read, compared, left alone. */
import type { Netns } from '../../../test/support/netns.ts';
import { GATEWAY, Programmer } from './in-process.ts';
import { type ExpectedRoutes, SampleWatch } from './kernel-table.ts';

export interface Adoption {
  /** until the kernel's state has been read */
  readonly readSec: number;
  /** until every route that is asked for has been compared with it, leftovers looked for, and nothing is left to do */
  readonly compareSec: number;
  /** routes written */
  readonly writes: number;
}

/** Measures a second start over the routes that a first one left. Throws when anything was not left alone. */
export async function adopt(host: Netns, expected: ExpectedRoutes): Promise<Adoption> {
  const first = new Programmer(host, expected.table);
  await first.kernel.start();
  await first.add();
  first.close();
  const objects = host.sh('ip -details nexthop show');
  // Of everything, not of a sample only.
  const watch = new SampleWatch(host.path, 0);
  const next = new Programmer(host, expected.table);
  try {
    const startedAt = performance.now();
    await next.kernel.start();
    const readAt = performance.now();
    await next.add();
    next.routes.sweep('ipv4', 'learned');
    next.routes.sweep('ipv4', 'local');
    await next.settle();
    const doneAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (watch.lastAt !== 0) throw new Error('routes were touched');
    const { problem } = expected.compare(host.path, [GATEWAY]);
    if (problem !== undefined) throw new Error(`the kernel: ${problem}`);
    if (host.sh('ip -details nexthop show') !== objects) throw new Error('next-hop objects were touched');
    return {
      readSec: (readAt - startedAt) / 1000,
      compareSec: (doneAt - readAt) / 1000,
      writes: next.written + next.failed,
    };
  } finally {
    watch.close();
    await next.remove();
    next.close();
  }
}

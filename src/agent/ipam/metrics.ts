/**
 * IPAM's numbers in the Prometheus text format 0.0.4, under the names that Calico's controllers use, for this host alone: a thousand hosts
 * that each told of all would tell a million. Made from what is in memory.
 */
import type { Ipam } from '../../ipam/ipam.ts';
import type { Pool } from '../../ipam/pools.ts';
import { reservedIn } from '../../ipam/utilization.ts';
import { addressBits } from '../../net/address.ts';
import { type Prefix, prefixContains } from '../../net/prefix.ts';
import type { CollectorState } from './collector.ts';

/** One sample. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with its samples. */
export interface Metric {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Everything IPAM has to say. */
export function ipamMetrics(input: {
  readonly ipam: Ipam;
  readonly node: string;
  readonly pools: readonly Pool[];
  readonly reserved: readonly Prefix[];
  readonly collector: CollectorState;
}): readonly Metric[] {
  const { ipam, node, pools, reserved, collector } = input;
  const numbers = new Map(
    pools.map((pool) => [pool.name, { used: 0, borrowed: 0, lent: 0, blocks: 0, cooling: 0 }]),
  );
  const unknown = { used: 0, borrowed: 0, lent: 0, blocks: 0, cooling: 0 };
  for (const block of ipam.view.index.all()) {
    const borrowed = block.borrowed?.get(node)?.length ?? 0;
    if (block.host !== node && borrowed === 0) continue;
    const pool = pools.find(({ cidr }) => prefixContains(cidr, block.prefix));
    const count = numbers.get(pool?.name ?? '') ?? unknown;
    if (block.host === node) {
      const lent = Array.from(block.borrowed?.values() ?? []).reduce((sum, { length }) => sum + length, 0);
      count.blocks++;
      count.used += block.used - lent;
      count.lent += lent;
      count.cooling += block.cooling;
    } else {
      count.used += borrowed;
      count.borrowed += borrowed;
    }
  }
  const rows = [...numbers, ...(unknown.used + unknown.blocks > 0 ? [['no_ippool', unknown] as const] : [])];
  const each = (field: keyof typeof unknown): Sample[] =>
    rows.map(([ippool, count]) => ({ labels: { ippool, node }, value: count[field] }));
  const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({
    name,
    type: 'gauge',
    help,
    samples,
  });
  const candidates = collector.candidates.reduce((sum, { held }) => sum + held.length, 0);
  return [
    gauge('ipam_allocations_in_use', 'Addresses that workloads and tunnels of this node use.', each('used')),
    gauge('ipam_allocations_borrowed', "Of these, addresses out of other nodes' blocks.", each('borrowed')),
    gauge('ipam_allocations_lent', "Addresses of this node's blocks that other nodes use.", each('lent')),
    gauge('ipam_allocations_cooling', 'Released addresses that cannot be given out yet.', each('cooling')),
    gauge('ipam_blocks', 'Blocks of this node.', each('blocks')),
    gauge('ipam_allocations_gc_candidates', 'Addresses without a sign of life whose grace time runs.', [
      { labels: { node }, value: candidates },
    ]),
    {
      name: 'ipam_allocations_gc_reclamations_total',
      type: 'counter',
      help: 'Addresses freed because nothing on this node used them any more.',
      samples: [{ labels: { node }, value: collector.reclaimed }],
    },
    gauge(
      'ipam_ippool_size',
      'Addresses of the pool.',
      pools.map((pool) => sampleOf(pool, sizeOf(pool.cidr))),
    ),
    gauge(
      'ipam_ippool_reserved',
      'Addresses of the pool that are never given out.',
      pools.map((pool) => sampleOf(pool, reservedIn(pool.cidr, reserved))),
    ),
    gauge(
      'ipam_violations',
      'Broken invariants of the blocks of this node: see "ocicat ipam check".',
      Object.entries(liveViolations(ipam)).map(([kind, value]) => ({ labels: { kind, node }, value })),
    ),
  ];
}

/** Violations that show in memory, by kind; all of a whole store are found by `Ipam.check`. */
export function liveViolations(ipam: Ipam): Readonly<Record<string, number>> {
  const counts = {
    'overlapping-blocks': 0,
    'affinity-without-block': 0,
    'block-without-affinity': 0,
    'unfinished-affinity': 0,
    'damaged-block': 0,
  };
  for (const _pair of ipam.view.index.overlaps()) counts['overlapping-blocks']++;
  for (const { state } of ipam.view.confirmed.disagreements()) {
    if (state === undefined) counts['block-without-affinity']++;
    else if (state === 'confirmed') counts['affinity-without-block']++;
    else counts['unfinished-affinity']++;
  }
  counts['damaged-block'] = ipam.view.damagedBlocks;
  return counts;
}

/** The text that Prometheus reads. */
export function prometheusText(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, type, help, samples }) => {
      const lines = samples.map(({ labels, value }) => {
        const texts = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
        return `${name}${texts.length === 0 ? '' : `{${texts.join(',')}}`} ${value}\n`;
      });
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
    })
    .join('');
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function sampleOf(pool: Pool, value: number): Sample {
  return { labels: { ippool: pool.name }, value };
}

function sizeOf(prefix: Prefix): number {
  return 2 ** (addressBits(prefix.family) - prefix.length);
}

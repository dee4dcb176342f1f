import assert from 'node:assert/strict';
import { IpamCollector } from '../../../../../src/agent/ipam/collector.ts';
import type { HeldAddress } from '../../../../../src/agent/ipam/leaks.ts';
import { ipamMetrics, prometheusText } from '../../../../../src/agent/ipam/metrics.ts';
import { openLog } from '../../../../../src/agent/log.ts';
import { Ipam } from '../../../../../src/ipam/ipam.ts';
import type { Pool } from '../../../../../src/ipam/pools.ts';
import { formatAddress } from '../../../../../src/net/address.ts';
import { MemoryIpamStore } from '../../../../support/memory-ipam-store.ts';
import { prefix } from '../../../../support/net.ts';

const GRACE_MS = 1000;
const COMMON = {
  isDisabled: false,
  nodeSelector: '',
  namespaceSelector: '',
  allowedUses: ['Workload'],
  assignmentMode: 'Automatic',
} as const;
const POOLS: readonly Pool[] = [
  { name: 'p4', cidr: prefix('10.1.0.0/29'), blockSize: 31, ...COMMON },
  { name: 'p6', cidr: prefix('fd01::/125'), blockSize: 126, ...COMMON },
];

async function bench() {
  const store = new MemoryIpamStore();
  const open = async (host: string): Promise<Ipam> => {
    const ipam = new Ipam({ store, host, pools: () => POOLS, selectsNode: () => true });
    await ipam.start();
    return ipam;
  };
  const ipam = await open('host-a');
  const alive = new Set<string>();
  const state = { nowMs: 0, canJudge: true, asked: 0, onAsk: (_held: HeldAddress) => {} };
  const collector = new IpamCollector({
    ipam,
    log: openLog({ level: 'fatal', format: 'json' }),
    graceMs: GRACE_MS,
    clock: () => state.nowMs,
    canJudge: () => state.canJudge,
    signOfLife: (held) => {
      state.asked++;
      state.onAsk(held);
      return alive.has(formatAddress(held.address)) ? 'it is there' : undefined;
    },
  });
  const assign = async (handle: string, of = ipam): Promise<string[]> =>
    (await of.assign({ handle, families: ['ipv4', 'ipv6'], attributes: {} })).map(({ address }) =>
      formatAddress(address),
    );
  const look = async (afterMs: number): Promise<void> => {
    state.nowMs += afterMs;
    await collector.look();
  };
  return { store, open, ipam, alive, state, collector, assign, look };
}

describe('ipam collector', () => {
  it('frees a handle that showed no sign of life for the whole grace time, and no other', async () => {
    const { ipam, alive, collector, assign, look } = await bench();
    await assign('dead');
    for (const text of await assign('living')) alive.add(text);
    await look(0);
    await look(GRACE_MS - 1);
    assert.equal((await ipam.assignmentsOf('dead')).length, 2);
    assert.deepEqual(
      collector.state.candidates.map(({ handle }) => handle),
      ['dead'],
    );
    await look(1);
    assert.deepEqual(await ipam.assignmentsOf('dead'), []);
    assert.equal((await ipam.assignmentsOf('living')).length, 2);
    assert.equal(collector.state.reclaimed, 2);
    assert.deepEqual(collector.state.candidates, []);
    assert.deepEqual(await ipam.check(), []);
  });

  it('keeps a handle as a whole while one of its addresses lives', async () => {
    const { ipam, alive, collector, assign, look } = await bench();
    const [, v6 = ''] = await assign('half');
    alive.add(v6);
    await look(0);
    await look(10 * GRACE_MS);
    assert.equal((await ipam.assignmentsOf('half')).length, 2);
    assert.deepEqual(collector.state.candidates, []);
  });

  it('begins anew when the handle was given other addresses, or showed life in between', async () => {
    const { ipam, alive, assign, look } = await bench();
    const given = await assign('c1');
    await look(0);
    await ipam.releaseHandle('c1');
    await assign('c1');
    await look(GRACE_MS);
    assert.equal((await ipam.assignmentsOf('c1')).length, 2, 'allocated anew');
    for (const text of given) alive.add(text);
    for (const each of await ipam.assignmentsOf('c1')) alive.add(formatAddress(each.address));
    await look(GRACE_MS);
    alive.clear();
    await look(GRACE_MS);
    assert.equal((await ipam.assignmentsOf('c1')).length, 2, 'alive a moment ago');
    await look(GRACE_MS);
    assert.deepEqual(await ipam.assignmentsOf('c1'), []);
  });

  it('looks again right before the release', async () => {
    const { ipam, state, alive, assign, look } = await bench();
    const given = await assign('c1');
    await look(0);
    state.asked = 0;
    // It comes to life after the look has judged it and before it is freed.
    state.onAsk = () => {
      if (state.asked > given.length) for (const text of given) alive.add(text);
    };
    await look(GRACE_MS);
    assert(state.asked > given.length);
    assert.equal((await ipam.assignmentsOf('c1')).length, 2);
  });

  it('frees nothing while store or kernel cannot be judged, nor what other hosts use', async () => {
    const { ipam, open, state, assign, look } = await bench();
    const other = await open('host-b');
    await assign('theirs', other);
    await assign('c1');
    await look(0);
    state.canJudge = false;
    await look(GRACE_MS);
    assert.equal((await ipam.assignmentsOf('c1')).length, 2);
    state.canJudge = true;
    await look(0);
    assert.deepEqual(await ipam.assignmentsOf('c1'), []);
    assert.equal((await other.assignmentsOf('theirs')).length, 2);
  });

  it('gives up blocks that stay empty, but for one of each pool', async () => {
    const { ipam, alive, assign, look, collector } = await bench();
    for (let i = 0; i < 6; i++) for (const text of await assign(`c${i}`)) alive.add(text);
    assert.equal(ipam.confirmedBlocks().length, 5);
    for (let i = 0; i < 6; i++) await ipam.releaseHandle(`c${i}`);
    await look(0);
    assert.equal(ipam.confirmedBlocks().length, 5, 'seen empty once');
    await look(0);
    assert.equal(ipam.confirmedBlocks().length, 2);
    assert.equal(collector.state.blocksGivenUp, 3);
    assert.deepEqual(await ipam.check(), []);
  });

  it('tells its numbers in the form of Prometheus', async () => {
    const { ipam, collector, assign, look } = await bench();
    await assign('c1');
    await look(0);
    const text = prometheusText(
      ipamMetrics({
        ipam,
        node: 'host-a',
        pools: POOLS,
        reserved: [prefix('10.1.0.6/31'), prefix('10.1.0.7/32'), prefix('192.0.2.0/24')],
        collector: collector.state,
      }),
    );
    for (const line of [
      'ipam_allocations_in_use{ippool="p4",node="host-a"} 1',
      'ipam_blocks{ippool="p6",node="host-a"} 1',
      'ipam_allocations_gc_candidates{node="host-a"} 2',
      'ipam_ippool_size{ippool="p4"} 8',
      'ipam_ippool_reserved{ippool="p4"} 2',
      'ipam_violations{kind="damaged-block",node="host-a"} 0',
      '# TYPE ipam_allocations_gc_reclamations_total counter',
    ])
      assert(text.split('\n').includes(line), `${line} is missing in\n${text}`);
  });
});

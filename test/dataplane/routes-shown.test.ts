/** What `ocicat routes` is told of routes in each state, by a real kernel. */
import assert from 'node:assert/strict';
import { tableFindings } from '../../src/agent/fib-api.ts';
import { fibRoutesIn, fibRoutesOfPrefix, statesOf } from '../../src/agent/fib-views.ts';
import type { FibRouteView } from '../../src/api/views.ts';
import { eventually } from '../support/eventually.ts';
import { prefix } from '../support/net.ts';
import { RoutesBench, twoUplinks } from './routes-support.ts';

describe('routes as they are shown', () => {
  const bench = new RoutesBench();

  it('weights, the member of a multipath route that is out, refusals in the kernel\u2019s words, owners of foreign routes, the table', async () => {
    const { host, peer } = twoUplinks();
    host.sh('ip route add 10.4.0.0/16 via 198.51.100.2 metric 77 table 1007 proto bird');
    const p = await bench.programmer(host, { table: 1007, metric: 77 });
    const show = (text: string): Partial<FibRouteView> => {
      const [row] = fibRoutesOfPrefix(p.routes, prefix(text));
      assert.ok(row, text);
      const { state, nextHops, kernel, error, out, attempts } = row;
      assert.deepEqual([row.metric, row.table], [77, 1007]);
      return {
        state,
        nextHops,
        kernel,
        ...(error && { error }),
        ...(out && { out }),
        ...(attempts && { attempts }),
      };
    };
    const one = 'via 192.0.2.2 dev eth0';
    const two = 'via 198.51.100.2 dev eth1';
    p.routes.setRoute(
      prefix('10.1.0.0/16'),
      'bgp',
      p.via(['eth0', '192.0.2.2', 3], ['eth1', '198.51.100.2']),
    );
    p.routes.setRoute(prefix('10.2.0.0/16'), 'bgp', p.via(['eth0', '192.0.2.2']));
    p.routes.setRoute(prefix('10.3.0.0/16'), 'bgp', p.via(['eth0', '203.0.113.1']));
    p.routes.setRoute(prefix('10.4.0.0/16'), 'bgp', p.via(['eth0', '192.0.2.2']));
    p.settle();
    const both = [`${one} weight 3`, `${two} weight 1`];
    assert.deepEqual(show('10.1.0.0/16'), { state: 'installed', nextHops: both, kernel: both.join(', ') });
    assert.deepEqual(show('10.2.0.0/16'), { state: 'installed', nextHops: [one], kernel: one });
    assert.deepEqual(show('10.3.0.0/16'), {
      state: 'failed',
      nextHops: ['via 203.0.113.1 dev eth0'],
      kernel: '-',
      error: 'ENETUNREACH: Nexthop has invalid gateway (1 attempt)',
      attempts: 1,
    });
    assert.deepEqual(show('10.4.0.0/16'), {
      state: 'conflict',
      nextHops: [one],
      kernel: `bird ${two} metric 77`,
      error: 'the kernel has a route of bird with the same metric',
    });

    const inStates = async (...names: string[]): Promise<string[]> => {
      const found: string[] = [];
      for await (const row of fibRoutesIn(p.routes, statesOf(names))) found.push(row.prefix);
      return found.sort();
    };
    assert.deepEqual(await inStates('failed', 'conflict'), ['10.3.0.0/16', '10.4.0.0/16']);
    assert.deepEqual(await inStates('installed'), ['10.1.0.0/16', '10.2.0.0/16']);
    assert.throws(() => statesOf(['lost']), /"lost" is no state of a route: expected installed, partial/);
    assert.deepEqual(
      tableFindings(p.routes).map(({ remedy }) => remedy?.split(' #')[0]?.trim()),
      ['ip -4 rule add lookup 1007'],
    );
    host.sh('ip -4 rule add from 192.0.2.0/24 lookup 1007');
    assert.deepEqual(tableFindings(p.routes), []);

    peer.sh('ip link set eth0 down');
    await eventually('a member is out', () => show('10.1.0.0/16').state === 'partial');
    assert.deepEqual(show('10.1.0.0/16'), {
      state: 'partial',
      nextHops: both,
      kernel: two,
      out: [one],
      error: `not ${one}: no carrier`,
    });
    await eventually('the other route waits', () => show('10.2.0.0/16').state === 'waiting');
    assert.deepEqual(await inStates('partial', 'waiting'), ['10.1.0.0/16', '10.2.0.0/16']);
    assert.deepEqual(show('10.2.0.0/16'), {
      state: 'waiting',
      nextHops: [one],
      kernel: '-',
      out: [one],
      error: `not ${one}: no carrier`,
    });
    peer.sh('ip link set eth0 up');
    await eventually('all is well', () =>
      ['10.1.0.0/16', '10.2.0.0/16'].every((text) => show(text).state === 'installed'),
    );
    // Its neighbour is known to be dead, as by BFD, and the link is up.
    const [hop] = p.via(['eth0', '192.0.2.2']).nextHops;
    assert.ok(hop?.gateway);
    p.routes.failNextHop(hop.gateway, hop.ifindex);
    await eventually('it is out again', () => show('10.1.0.0/16').state === 'partial');
    assert.equal(show('10.1.0.0/16').error, `not ${one}: neighbor down`);
    assert.equal(show('10.2.0.0/16').state, 'installed', 'what has no other way is left alone');
    await eventually('and back', () => show('10.1.0.0/16').state === 'installed');
  });
});

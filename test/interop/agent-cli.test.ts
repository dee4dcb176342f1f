/** The agent with a real FRR as its top-of-rack router: what the command line shows of sessions and routes, conflicts, and the router's end. */
import assert from 'node:assert/strict';
import type { FibRouteView, PathRow, PeerView } from '../../src/api/views.ts';
import { type AgentHost, POOLS } from '../support/agent.ts';
import {
  type AgentAndFrr,
  cliRows,
  endAgentAndFrr,
  FRR_IPV6_SESSION,
  PEER,
  PEER6,
  startAgentAndFrr,
} from '../support/agent-frr.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns } from '../support/netns.ts';
import type { Router } from '../support/routers.ts';

const SLOW = { timeoutMs: 30_000 };

describe('agent and FRR: the command line', function () {
  this.timeout(120_000);
  let both: AgentAndFrr | undefined;
  let host: AgentHost;
  let router: Router;

  const rows = <Row>(line: string): Promise<Row[]> => cliRows<Row>(host, line);
  const kernel = (): string => host.ownRoutes().join('\n');
  const announce = async (...prefixes: readonly string[]): Promise<void> => {
    await router.announce(prefixes);
  };

  before(async () => {
    both = await startAgentAndFrr(
      ['10.20.0.0/16', '10.20.30.0/24', '2001:db8:20::/48'],
      { tor4: PEER, tor6: PEER6 },
      FRR_IPV6_SESSION,
    );
    ({ host, router } = both);
    await host.add('c1', createNetns());
    await eventually(
      'routes are exchanged, both ways',
      async () =>
        ['10.20.0.0/16', '10.20.30.0/24', '2001:db8:20::/48'].every((prefix) => kernel().includes(prefix)) &&
        (await router.routes('ipv4')).length === 1 &&
        (await router.routes('ipv6')).length === 1,
      SLOW,
    );
  });
  after(() => endAgentAndFrr(both));

  it('bgp peers: the table, one peer by address and by name, and unknown ones', async () => {
    const table = await host.ocicat('bgp peers');
    assert.match(table, /^Neighbor +AS +State +Up\/Down/);
    assert.match(table, /192\.0\.2\.1 +65001 +Established +00:0/);
    assert.match(table, /2001:db8:2::1 +65001 +Established/);
    assert.match(table, /builtin/);
    const peers = await rows<PeerView>('bgp peers');
    assert.deepEqual(
      peers.map(({ name, resource, state, localAs }) => ({ name, resource, state, localAs })),
      [
        { name: PEER, resource: 'BGPPeer tor4', state: 'Established', localAs: 65101 },
        { name: PEER6, resource: 'BGPPeer tor6', state: 'Established', localAs: 65101 },
      ],
    );
    for (const name of [PEER6, 'tor6', '2001:0db8:2:0::1']) {
      const text = await host.ocicat(`bgp peers ${name}`);
      assert.match(text, /^Neighbor 2001:db8:2::1/);
      assert.match(text, /Remote AS +65001 \(external\), local AS 65101/);
      assert.match(text, /ipv6 +yes +[12] +1 /);
    }
    const unknown = await host.cli(['bgp', 'peers', '192.0.2.99']);
    assert.equal(unknown.status, 1);
    assert.match(unknown.stderr, /no BGP peer 192\.0\.2\.99[\s\S]*Peers are 192\.0\.2\.1, 2001:db8:2::1/);
  });

  it('bgp routes: all, a prefix with its reason, longest match, received and advertised', async () => {
    const all = await rows<PathRow>('bgp routes');
    assert.deepEqual(
      all.filter(({ from }) => from !== 'local').map(({ prefix, asPath, best }) => [prefix, asPath, best]),
      [
        ['10.20.0.0/16', '65001', true],
        ['10.20.30.0/24', '65001', true],
        ['2001:db8:20::/48', '65001', true],
      ],
    );
    assert.match(await host.ocicat('bgp routes'), /\*> .*10\.20\.0\.0\/16 +192\.0\.2\.1/);
    const text = await host.ocicat('bgp routes 10.20.0.0/16');
    assert.match(text, /^10\.20\.0\.0\/16: 1 path\n/);
    assert.match(text, /best: the only path/);
    assert.match(text, /AS path: 65001/);
    const longest = async (address: string): Promise<string[]> =>
      (await rows<PathRow>(`bgp routes ${address}`)).map(({ prefix }) => prefix);
    assert.deepEqual(await longest('10.20.30.40'), ['10.20.30.0/24']);
    assert.deepEqual(await longest('10.20.99.1'), ['10.20.0.0/16']);
    assert.deepEqual(await longest('2001:db8:20::7'), ['2001:db8:20::/48']);
    assert.equal(
      (await rows<PathRow>('bgp routes --ipv6')).every(({ family }) => family === 'ipv6'),
      true,
    );

    // FRR sends our own block back as well; the loop check keeps it out.
    const received = await rows<PathRow>(`bgp routes --received ${PEER}`);
    assert.deepEqual(
      received.filter(({ valid }) => valid).map(({ prefix }) => prefix),
      ['10.20.0.0/16', '10.20.30.0/24'],
    );
    assert.deepEqual(
      (await rows<PathRow>(`bgp routes 10.20.30.40 --received tor4`)).map(({ prefix }) => prefix),
      ['10.20.30.0/24'],
    );
    const { blocks } = await host.status();
    const advertised = [
      ...(await rows<PathRow>(`bgp routes --advertised ${PEER}`)),
      ...(await rows<PathRow>(`bgp routes --advertised ${PEER6}`)),
    ];
    assert.deepEqual(advertised.map(({ prefix }) => prefix).sort(), [...blocks].sort());
    assert.deepEqual(
      (await router.routes('ipv4')).map(({ prefix }) => prefix),
      blocks.filter((block) => !block.includes(':')),
    );
    for (const args of [
      ['bgp', 'routes', '203.0.113.1'],
      ['bgp', 'routes', '--received', '192.0.2.99'],
      ['routes', '203.0.113.0/24'],
    ]) {
      const result = await host.cli(args);
      assert.equal(result.status, 1, args.join(' '));
      assert.match(result.stderr, /^ocicat: (no route|there is no BGP peer)/);
    }
    const nonsense = await host.cli(['bgp', 'routes', 'nonsense']);
    assert.equal(nonsense.status, 2);
    assert.match(nonsense.stderr, /"nonsense" is neither an address nor a prefix/);
  });

  it('routes: desired beside kernel, and the longest match of an address', async () => {
    const all = await rows<FibRouteView>('routes');
    assert.deepEqual([...new Set(all.map(({ state }) => state))], ['installed']);
    assert.deepEqual([...new Set(all.map(({ source }) => source))].sort(), ['bgp', 'block', 'endpoint']);
    assert.equal(all.length, host.ownRoutes().length);
    const [match] = await rows<FibRouteView>('routes 10.20.30.40');
    assert.equal(match?.prefix, '10.20.30.0/24');
    assert.deepEqual(match?.nextHops, ['via 192.0.2.1 dev up0']);
    assert.equal(match?.kernel, 'via 192.0.2.1 dev up0');
    const [endpoint] = await host.endpoints();
    const own = await rows<FibRouteView>(`routes ${endpoint?.addresses[0]}`);
    assert.equal(own[0]?.source, 'endpoint');
    const table = await host.ocicat('routes -o wide');
    assert.match(table, /^Prefix +Source +Desired +State +Kernel/);
  });

  it('a route for a block of ours is not installed and is shown with peer and AS path; so is our own AS', async () => {
    const { blocks } = await host.status();
    const block = blocks.find((each) => !each.includes(':')) ?? '';
    const inside = `${block.split('/')[0]?.replace(/\.\d+$/, `.${Number(/\.(\d+)\//.exec(block)?.[1]) + 5}`)}/32`;
    const before = kernel();
    // 10.40.0.0/16 comes back with our own AS in its path, as from a host that shares it.
    await router.command(
      'configure terminal',
      'ip prefix-list looped seq 5 permit 10.40.0.0/16',
      'route-map mark permit 10',
      'match ip address prefix-list looped',
      'set as-path prepend 65101',
      'exit',
      'route-map mark permit 20',
      'exit',
      'router bgp 65001',
      'address-family ipv4 unicast',
      'neighbor 192.0.2.2 route-map mark out',
    );
    await announce('10.20.0.0/16', '10.20.30.0/24', '2001:db8:20::/48', '10.40.0.0/16', block, inside);
    const conflicts = await eventually(
      'both conflicts show',
      async () => {
        const found = await host.findings('block-conflict');
        return found.length === 2 && found;
      },
      SLOW,
    );
    for (const prefix of [block, inside]) {
      const finding = conflicts.find(({ message }) => message.startsWith(`${prefix} `));
      assert.match(finding?.message ?? '', /peer 192\.0\.2\.1 .*\(AS path 65001\); it is not installed/);
      assert.equal(finding?.severity, 'error');
    }
    const looped = await eventually(
      'our own AS shows',
      async () => (await host.findings('own-as-in-path'))[0],
      SLOW,
    );
    assert.match(looped.message, /^a route of peer 192\.0\.2\.1 with our own AS 65101/);
    assert.match(looped.remedy ?? '', /asNumber/);
    assert.equal(kernel(), before);
    const [path] = await rows<PathRow>(`bgp routes 10.40.0.0/16 --received ${PEER}`);
    assert.equal(path?.unusable, 'as-path-loop');
    assert.equal((await host.cli(['status'])).status, 1);
    await announce('10.20.0.0/16', '10.20.30.0/24', '2001:db8:20::/48');
    await eventually(
      'nothing is left to tell',
      async () =>
        (await host.findings('block-conflict')).length === 0 &&
        (await host.findings('own-as-in-path')).length === 0,
      SLOW,
    );
  });

  it('a new endpoint and a deleted one change nothing at the router; disableBGPExport withdraws', async () => {
    const before = await router.routes('ipv4');
    await host.add('c2', createNetns());
    await host.delete('c2');
    assert.deepEqual(await router.routes('ipv4'), before);
    const [four = ''] = POOLS;
    await host.apply(`${four}\n  disableBGPExport: true`);
    await eventually('the block is withdrawn', async () => (await router.routes('ipv4')).length === 0, SLOW);
    await host.apply(four);
    await eventually(
      'the block is back',
      async () => (await router.routes('ipv4')).length === before.length,
      SLOW,
    );
  });

  it('killing FRR, which lists no family for graceful restart, removes its routes; bringing it back restores them', async () => {
    const whole = kernel();
    await router.kill();
    await eventually(
      'its routes are gone',
      () => !kernel().includes('via 192.0.2.1') && !kernel().includes('via 2001:db8:2::1'),
      SLOW,
    );
    assert.match(await host.ocicat('bgp peers'), /192\.0\.2\.1 +65001 +(Connect|Active|Idle)/);
    assert.equal((await host.findings('peer-down')).length, 2);
    // The containers' own routes and the blocks stay.
    assert.equal(host.ownRoutes().length, 4);
    await router.start();
    await router.command(...FRR_IPV6_SESSION);
    await eventually(
      'all routes are back',
      () => {
        assert.equal(kernel(), whole);
        return true;
      },
      { timeoutMs: 45_000 },
    );
  });
});

/** Interfaces of the host get other names while everything runs: who goes by an index does not notice, who goes by a name follows. */
import assert from 'node:assert/strict';
import type { FilterChain } from '../../bgp/policy/types.ts';
import { EndpointError } from '../../fib/endpoints/endpoint-error.ts';
import { EndpointLinks } from '../../fib/endpoints/endpoint-links.ts';
import type { EndpointSpec } from '../../fib/endpoints/plan.ts';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { viewOfPrefix } from '../../fib/routes/inspect.ts';
import { targetText } from '../../src/agent/fib-views.ts';
import type { PeerView } from '../../src/api/views.ts';
import { AgentHost, createHost, disposeHosts, POOLS, poolYaml, UPLINK } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { address, prefix } from '../support/net.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { TestPeer } from '../unit/bgp/rib/support.ts';
import { fed, Neighbour } from './learned-support.ts';
import { type Programmer, RoutesBench, show, twoUplinks } from './routes-support.ts';

function onlyBy(pattern: string): FilterChain {
  return {
    name: `by ${pattern}`,
    rules: [{ name: 'by interface', match: { interface: pattern }, action: 'accept' }],
    fallThrough: 'reject',
  };
}

/** Kernels before 6.2 rename only what is down. */
function rename(host: Netns, from: string, to: string): void {
  host.sh(`ip link set dev ${from} name ${to}`);
}

function way(p: Programmer, text: string): string {
  return targetText(p.kernel.links, viewOfPrefix(p.routes, prefix(text))?.kernel);
}

describe('an interface gets another name', () => {
  const bench = new RoutesBench();

  it('learned routes are told or withdrawn as the export rules say of the new name; their way stays', async () => {
    const { host } = twoUplinks();
    host.sh('ip route add 203.0.113.0/24 via 192.0.2.2');
    const p = await bench.programmer(host);
    const rib = fed(bench, p);
    const told = ['eth*', 'wan*'].map(
      (pattern, index) =>
        new TestPeer(rib, {
          name: pattern,
          address: address(`192.0.2.${90 + index}`),
          peerAs: 65090 + index,
          exportPolicy: onlyBy(pattern),
        }),
    );
    const from = new Neighbour(rib, { name: 'from', peerAs: 65001 });
    // On the link, behind a foreign route, behind a learned route; and on a link that keeps its name.
    from.announce(['10.1.0.0/16'], { nextHop: address('192.0.2.2') });
    from.announce(['10.2.0.0/16'], { nextHop: address('203.0.113.7') });
    from.announce(['10.3.0.0/16'], { nextHop: address('10.1.0.7') });
    from.announce(['2001:db8:a::/48'], { nextHop: address('2001:db8::2') });
    from.announce(['10.9.0.0/16'], { nextHop: address('198.51.100.2') });
    const moving = ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16', '2001:db8:a::/48'];
    const all = [...moving, '10.9.0.0/16'].sort();
    const isTold = (...wanted: readonly (readonly string[])[]): boolean =>
      told.every((peer, index) => [...peer.read().keys()].sort().join() === wanted[index]?.join());
    await eventually('all have the interface that they began with', () => isTold(all, []));

    const witness = bench.witness(host);
    rename(host, 'eth0', 'wan7');
    await eventually('rules see the new name', () => isTold(['10.9.0.0/16'], moving));
    assert.match(way(p, '10.1.0.0/16'), /192\.0\.2\.2 dev wan7/);
    assert.match(way(p, '2001:db8:a::/48'), /2001:db8::2 dev wan7/);
    assert.match(show(host, 'route', 'show', '10.2.0.0/16'), /via 192\.0\.2\.2 dev wan7 proto 171/);
    rename(host, 'wan7', 'eth0');
    await eventually('and the old one again', () => isTold(all, []));
    assert.deepEqual(
      witness.take(),
      { added: 0, deleted: 0 },
      'the kernel\u2019s routes have not been touched',
    );

    // Two links change names with each other.
    rename(host, 'eth1', 'away');
    rename(host, 'eth0', 'wan0');
    rename(host, 'away', 'eth0');
    await eventually('each by its own link', () => isTold(['10.9.0.0/16'], moving));
    assert.match(way(p, '10.9.0.0/16'), /198\.51\.100\.2 dev eth0/);
  });
});

describe('fib/endpoints: a host end gets another name', () => {
  before(prepareNamespaces);
  afterEach(removeAllNetns);

  function scene() {
    const [host, container] = [createNetns(), createNetns()];
    const links = EndpointLinks.open({ netns: host.path });
    const spec: EndpointSpec = {
      id: 'default.c1',
      netns: container.path,
      addresses: [address('10.65.0.1')],
      mtu: 1500,
    };
    const names = (): string[] =>
      [...host.sh('ip -o link show type veth').matchAll(/^\d+: ([^@:]+)/gm)].map(([, name = '']) => name);
    return { host, container, links, spec, names };
  }

  it('it is known by its other end, and keeps everything but that name', () => {
    const { host, links, spec, names } = scene();
    const first = links.prepare(spec);
    links.activate(spec, first);
    rename(host, first.hostIfname, 'foreign0');
    const { hostIfname, hostIfindex, isNew, isUp } = links.prepare(spec);
    assert.deepEqual(
      { hostIfname, hostIfindex, isNew, isUp },
      { hostIfname: first.hostIfname, hostIfindex: first.hostIfindex, isNew: false, isUp: true },
    );
    assert.deepEqual(names(), [first.hostIfname]);
    links.close();
  });

  it('a link that is called as another endpoint\u2019s, or whose other end is not ours, is left alone', () => {
    const { host, container, links, spec, names } = scene();
    const refused = (): void =>
      assert.throws(
        () => links.prepare(spec),
        (error) => error instanceof EndpointError && error.code === 'interface-exists',
      );
    const own = links.prepare(spec).hostIfname;
    const other = links.nameOf('default.c2');
    rename(host, own, other);
    refused();
    assert.deepEqual(names(), [other]);
    host.sh(`ip link del ${other}`);

    // Calico's host ends have the same hardware address as ours.
    connect({ netns: host, name: 'cali0' }, { netns: container, name: 'eth0' });
    host.sh('ip link set dev cali0 address ee:ee:ee:ee:ee:ee');
    refused();
    assert.deepEqual(names(), ['cali0']);
    links.close();
  });
});

function document(
  kind: string,
  name: string,
  spec: unknown,
  annotations: Readonly<Record<string, string>> = {},
): string {
  return JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, metadata: { name, annotations }, spec });
}

describe('agent: an interface gets another name', function () {
  this.timeout(60_000);
  afterEach(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  const isUp = async (host: AgentHost): Promise<boolean> =>
    (await host.endpoints()).every(({ state }) => state === 'up');

  it('a container\u2019s link has its own name again at once, since policy goes by it; also when nobody watched', async () => {
    const host = createHost();
    await host.start();
    await host.apply(...POOLS);
    const container = createNetns();
    const view = await host.add('c1', container);
    const [link = ''] = host.links();
    const routes = host.ownRoutes();
    const index = (): string | undefined => /^\d+/.exec(host.netns.sh(`ip -o link show ${link}`))?.[0];
    const before = index();
    const mended = async (): Promise<void> => {
      await eventually('it is called as before', () => host.links().join() === link);
      await eventually('the endpoint is up', () => isUp(host));
      assert.deepEqual(await host.endpoints(), [view]);
      assert.equal(index(), before, 'it is the same link');
      assert.deepEqual(host.ownRoutes(), routes);
      for (const address of view.addresses) host.netns.sh(`ping -c 1 -W 5 ${address}`);
    };
    for (const name of ['other0', 'cali0', 'other0']) {
      rename(host.netns, link, name);
      await mended();
    }
    await host.stop();
    rename(host.netns, link, 'other0');
    await host.start();
    await mended();
    await host.delete('c1');
    assert.deepEqual(host.links(), []);
  });

  it('import rules see the new name of the link to a peer; a session bound to the old one lasts, an unnumbered one ends', async () => {
    const host = createHost();
    connect({ netns: host.netns, name: 'eth5' }, { netns: host.router, name: 'eth5' });
    const other = new AgentHost(host.router, host.netns, 'r1');
    try {
      await Promise.all([host.start(), other.start()]);
      const unnumbered = { 'ocicat.dev/interface': 'eth5', 'ocicat.dev/remote-as': 'external' };
      await host.apply(
        document('Node', 'h1', { bgp: { ipv4Address: '192.0.2.2/24', asNumber: 65101 } }),
        document('BGPFilter', 'by-link', {
          importV4: [{ action: 'Accept', interface: 'up*' }, { action: 'Reject' }],
        }),
        document(
          'BGPPeer',
          'bound',
          { node: 'h1', peerIP: '192.0.2.1', asNumber: 65001 },
          { 'ocicat.dev/interface': UPLINK },
        ),
        document('BGPPeer', 'filtered', {
          node: 'h1',
          peerIP: '198.51.100.1',
          asNumber: 65001,
          filters: ['by-link'],
        }),
        document('BGPPeer', 'unnumbered', { node: 'h1' }, unnumbered),
      );
      host.netns.sh(`ip address add 198.51.100.2/24 dev ${UPLINK}`);
      other.netns.sh('ip address add 198.51.100.1/24 dev down0');
      await other.apply(
        document('Node', 'r1', { bgp: { ipv4Address: '192.0.2.1/24', asNumber: 65001 } }),
        poolYaml('four', '10.77.0.0/24'),
        document('BGPPeer', 'bound', { node: 'r1', peerIP: '192.0.2.2', asNumber: 65101 }),
        document('BGPPeer', 'filtered', { node: 'r1', peerIP: '198.51.100.2', asNumber: 65101 }),
        document('BGPPeer', 'unnumbered', { node: 'r1' }, unnumbered),
      );
      await other.add('c1', createNetns());
      const name = (resource: string): string => resource.replace('BGPPeer ', '');
      /** State of each peer, and how many IPv4 routes of it are accepted. */
      const peers = async (): Promise<Record<string, string>> =>
        Object.fromEntries(
          (await host.api.call<PeerView[]>('GET', '/v1/bgp/peers')).map(({ resource, state, families }) => [
            name(resource),
            state === 'Established' ? `${families.ipv4.accepted} of ${families.ipv4.received}` : 'no session',
          ]),
        );
      const become = (what: string, wanted: Record<string, string>): Promise<boolean> =>
        eventually(what, async () => {
          assert.deepEqual(await peers(), wanted);
          return true;
        });
      const all = { bound: '1 of 1', filtered: '1 of 1', unnumbered: '1 of 1' };
      await become('all sessions are up, all routes accepted', all);
      rename(host.netns, UPLINK, 'wan0');
      await become('the rule does not match any more', { ...all, filtered: '0 of 1' });
      rename(host.netns, 'wan0', 'up7');
      await become('it matches again', all);
      rename(host.netns, 'eth5', 'eth6');
      await become('nobody is on a link that is not there', { ...all, unnumbered: 'no session' });
      rename(host.netns, 'eth6', 'eth5');
      await become('it is there again', all);
    } finally {
      other.dispose();
    }
  });
});

/** Sessions of a host with its own containers (BGPPeer.spec.localWorkloadSelector): BIRD and FRR run in containers of a real agent. */
import assert from 'node:assert/strict';
import type { PathRow, PeerView } from '../../src/api/views.ts';
import { type AgentHost, createHost, disposeHosts, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { createRouter, type Router } from '../support/routers.ts';

const SLOW = { timeoutMs: 30_000 };
const HOST4 = '169.254.0.179';
const HOST6 = 'fd00::179';

const document = (kind: string, name: string, spec: unknown): string =>
  JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec });
const PEER = document('BGPPeer', 'children', {
  localWorkloadSelector: 'role == "router"',
  asNumber: 65401,
  filters: ['children'],
});
const FILTER = document('BGPFilter', 'children', {
  importV4: [{ cidr: '10.123.0.0/16', matchOperator: 'In', action: 'Accept' }, { action: 'Reject' }],
  exportV4: [{ action: 'Reject' }],
});
const configuration = (spec: object): string => document('BGPConfiguration', 'default', spec);

describe('sessions with containers of the host', function () {
  this.timeout(120_000);
  let host: AgentHost;
  let inside: Netns;
  let plain: Netns;
  /** IPv6 address of the container with FRR */
  let sixth = '';
  const routers: Router[] = [];
  const addresses: Record<'ipv4' | 'ipv6', string> = { ipv4: '', ipv6: '' };

  const peers = async (): Promise<PeerView[]> => await host.api.call<PeerView[]>('GET', '/v1/bgp/peers');
  const peer = async (address: string): Promise<PeerView | undefined> =>
    (await peers()).find((each) => each.address === address);
  const up = (address: string): Promise<PeerView> =>
    eventually(
      `${address} is up`,
      async () => {
        const view = await peer(address);
        return view?.state === 'Established' ? view : undefined;
      },
      SLOW,
    );

  before(async () => {
    host = createHost();
    const second = createNetns();
    [inside, plain] = [createNetns(), createNetns()];
    await host.start();
    await host.apply(
      document('Node', 'h1', { bgp: { ipv4Address: '192.0.2.2/24', asNumber: 65101 } }),
      ...POOLS,
      FILTER,
      PEER,
    );
    await host.add('router', inside, { labels: { role: 'router' } });
    await host.add('other', plain, { labels: { role: 'web' } });
    const { addresses: own } = await host.add('router6', second, { labels: { role: 'router' } });
    sixth = own.find((text) => text.includes(':')) ?? '';
    for (const endpoint of await host.endpoints()) {
      if (endpoint.name !== 'router') continue;
      for (const text of endpoint.addresses) addresses[text.includes(':') ? 'ipv6' : 'ipv4'] = text;
    }
    const common = { as: 65401, neighbourAs: 65101, routerId: '10.123.0.1', multihop: true };
    routers.push(
      createRouter('bird', inside, {
        ...common,
        local: addresses.ipv4,
        neighbour: HOST4,
        announce: ['10.123.0.0/26', '10.124.0.0/26'],
      }),
    );
    routers.push(
      createRouter('frr', second, {
        ...common,
        routerId: '10.123.0.2',
        local: sixth,
        neighbour: HOST6,
        announce: ['2001:db8:6::/48'],
      }),
    );
    await Promise.all(routers.map((router) => router.start()));
  });
  after(async () => {
    disposeHosts();
    for (const router of routers) {
      await router.kill();
      router.dispose();
    }
    await removeAllNetns();
  });

  it('without an address to speak from there is no session, and that is said', async () => {
    await eventually(
      'it is said',
      async () => {
        const [finding] = await host.findings('peer-incomplete');
        return finding?.message.includes('needs an address for this host to speak from') === true;
      },
      SLOW,
    );
    assert.deepEqual(await peers(), []);
  });

  it('each address of a container that is chosen is a peer, the host speaks from the one address, routes go into the kernel', async () => {
    await host.apply(configuration({ localWorkloadPeeringIPV4: HOST4, localWorkloadPeeringIPV6: HOST6 }));
    const view = await up(addresses.ipv4);
    assert.deepEqual([view.localAddress, view.resource, view.kind], [HOST4, 'BGPPeer children', 'ebgp']);
    assert.equal((await peers()).length, 4, 'two containers with two addresses; the third is none');
    await eventually(
      'what the filter lets in is in the kernel, by way of the container',
      async () => {
        const [row] = await host.routes('10.123.0.0/26');
        return row?.state === 'installed' && JSON.stringify(row).includes(addresses.ipv4);
      },
      SLOW,
    );
    const paths: PathRow[] = [];
    for await (const row of host.api.rows<PathRow>(`/v1/bgp/routes?received=${addresses.ipv4}`))
      paths.push(row);
    const refused = paths.find(({ prefix }) => prefix === '10.124.0.0/26');
    assert.deepEqual([refused?.valid, refused?.unusable], [false, 'import-policy']);
    assert.deepEqual(await routers[0]?.routes('ipv4'), []);
    await up(sixth);
    await eventually(
      'the same over IPv6',
      async () => {
        const [row] = await host.routes('2001:db8:6::/48');
        return row?.state === 'installed' && JSON.stringify(row).includes(sixth);
      },
      SLOW,
    );
    await eventually(
      'without a filter for it, what the host has of its own goes out',
      async () => {
        const got = await routers[1]?.routes('ipv6');
        assert.deepEqual(
          got?.map(({ nextHop }) => nextHop),
          [HOST6],
        );
        return true;
      },
      SLOW,
    );
  });

  it('a container that goes takes its sessions along; without the peer the address is gone', async () => {
    const link = host.links().find((name) => host.netns.run('ip', 'addr', 'show', name).includes(HOST4));
    assert.ok(link);
    await host.delete('router');
    await eventually('two peers less', async () => (await peers()).length === 2, SLOW);
    await host.delete('router6');
    await host.add('other-router', createNetns(), { labels: { role: 'router' } });
    const standing = (): string => host.netns.run('ip', 'addr');
    await eventually('the new one has the address', () => standing().includes(HOST4), SLOW);
    await host.ocicat('delete bgppeer children');
    await eventually(
      'the address is gone',
      () => !standing().includes(HOST4) && !standing().includes(HOST6),
      SLOW,
    );
  });
});

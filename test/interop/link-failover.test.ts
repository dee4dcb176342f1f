/**
 * Fast external failover: sessions with FRR and BIRD over IPv4, IPv6 and without numbers, on links that lose their carrier, are set down and are
 * deleted. All have a hold time of 180 s and keep their TCP connections as long, so nothing else can have ended them; one that is told to last does.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../../src/api/client.ts';
import type { PathRow, PeerView } from '../../src/api/views.ts';
import { type AgentHost, createHost, disposeHosts, LAUNCHER, POOLS, runCli } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { seen } from '../support/matrix-table.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { resourceText } from '../support/resource-text.ts';
import { createRouter, Daemons, type Router, type RouterKind } from '../support/routers.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const HOLD_SEC = 180;
/** Far less than any hold timer, far more than a busy machine needs. */
const SOON = { timeoutMs: 30_000, intervalMs: 50 };
const OUR_AS = 65101;

const document = (kind: string, name: string, spec: unknown, settings: Record<string, string> = {}): string =>
  resourceText(kind, name, spec, { 'hold-time': String(HOLD_SEC), ...settings });

/** A neighbour on a link of its own. */
interface Neighbour {
  /** our end of the link; the other one is `up0` */
  readonly link: string;
  /** the peer in the API */
  readonly name: string;
  readonly netns: Netns;
  /** `ADDRESS/LENGTH` of both ends */
  readonly own: string;
  readonly their: string;
  /** what it announces */
  readonly prefix: string;
  readonly end: () => Promise<void>;
}

function hostNamespace(netns: Netns): Netns {
  // Else the kernel takes IPv6 addresses from a link that is set down.
  for (const scope of ['all', 'default']) netns.sysctl(`net/ipv6/conf/${scope}/keep_addr_on_down`, 1);
  netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
  return netns;
}

function plug(
  ours: Netns,
  { link, own, netns, their }: Pick<Neighbour, 'link' | 'own' | 'netns' | 'their'>,
): void {
  connect({ netns: ours, name: link, addresses: [own] }, { netns, name: 'up0', addresses: [their] });
}

async function router(ours: Netns, kind: RouterKind, index: number, family: 4 | 6): Promise<Neighbour> {
  const [own, their, length] =
    family === 4
      ? [`198.18.${index}.1`, `198.18.${index}.2`, 24]
      : [`2001:db8:18:${index}::1`, `2001:db8:18:${index}::2`, 64];
  const netns = hostNamespace(createNetns());
  const prefix = `10.${index}.0.0/16`;
  const neighbour: Router = createRouter(kind, netns, {
    routerId: `10.255.0.${index}`,
    as: 65000 + index,
    local: their,
    neighbour: own,
    neighbourAs: OUR_AS,
    holdTimeSec: HOLD_SEC,
    gracefulRestart: true,
    announce: [prefix, `2001:db8:ff${index}::/48`],
  });
  const place = { link: `${kind}${family}`, netns, own: `${own}/${length}`, their: `${their}/${length}` };
  plug(ours, place);
  await neighbour.start();
  const end = async (): Promise<void> => {
    await neighbour.kill();
    neighbour.dispose();
  };
  return { ...place, name: their, prefix: family === 4 ? prefix : `2001:db8:ff${index}::/48`, end };
}

/** BIRD that takes whoever comes over its link. */
async function unnumbered(ours: Netns, index: number): Promise<Neighbour> {
  const netns = hostNamespace(createNetns());
  netns.sysctl('net/ipv6/conf/default/addr_gen_mode', 1);
  const place = { link: 'free', netns, own: 'fe80::1/64', their: 'fe80::b/64' };
  plug(ours, place);
  const daemons = new Daemons(netns, 'bird');
  const prefix = `2001:db8:ff${index}::/48`;
  writeFileSync(
    daemons.path('bird.conf'),
    `router id 10.255.0.${index};
protocol device {}
protocol static { ipv6; route ${prefix} blackhole; }
protocol bgp {
  local as ${65000 + index};
  neighbor range fe80::/64 external;
  interface "up0";
  hold time ${HOLD_SEC};
  graceful restart on;
  ipv6 { import all; export where source = RTS_STATIC; next hop self; };
}
`,
  );
  daemons.spawn('bird', '-f', '-c', daemons.path('bird.conf'), '-s', daemons.path('bird.ctl'));
  await eventually('bird answers', () => existsSync(daemons.path('bird.ctl')), SOON);
  const end = async (): Promise<void> => {
    await daemons.kill();
    daemons.dispose();
  };
  return { ...place, name: 'free', prefix, end };
}

describe('fast external failover with FRR and BIRD', function () {
  this.timeout(180_000);
  let host: AgentHost;
  let guarded: readonly Neighbour[] = [];
  let control: Neighbour;

  const view = ({ name }: Neighbour): Promise<PeerView> =>
    host.api.call<PeerView>('GET', `/v1/bgp/peers/${encodeURIComponent(name)}`);
  /** Neighbours with routes that are used. */
  const used = async (): Promise<string[]> => {
    const prefixes = new Set<string>();
    for (const family of ['ipv4', 'ipv6'])
      for await (const row of host.api.rows<PathRow>(`/v1/bgp/routes?family=${family}`))
        if (row.best) prefixes.add(row.prefix);
    return [...guarded, control].filter(({ prefix }) => prefixes.has(prefix)).map(({ link }) => link);
  };
  const allUp = (): Promise<unknown> =>
    eventually(
      'all sessions are up and their routes used',
      async () => {
        for (const each of [...guarded, control])
          assert.equal((await view(each)).state, 'Established', each.link);
        const routes = await used();
        assert.deepEqual(
          [...guarded, control].filter(({ link }) => !routes.includes(link)).map(({ link }) => link),
          [],
        );
        return true;
      },
      SOON,
    );
  /** Every guarded session has ended for its link, and is not tried again; the one that was told to last has not noticed. */
  const allDown = async (why: string): Promise<void> => {
    await eventually(
      'all sessions have ended',
      async () => {
        for (const each of guarded) {
          const { state, lastError, nextConnectAt, families } = await view(each);
          // A peer without an address waits for one, passively.
          assert.match(state, each.name === each.link ? /^(Idle|Active)$/ : /^Idle$/, each.link);
          assert.equal(lastError, `link ${each.link} is down: ${why}`);
          assert.equal(nextConnectAt, undefined, each.link);
          assert.deepEqual([families.ipv4.received, families.ipv6.received], [0, 0], each.link);
        }
        return true;
      },
      SOON,
    );
    for (const each of guarded) {
      const { lastReset } = await view(each);
      assert.match(lastReset?.text ?? '', new RegExp(`^link ${each.link} is down: `));
      assert.equal(lastReset?.direction, 'none');
    }
    const { state, families } = await view(control);
    assert.deepEqual([state, families.ipv4.received], ['Established', 1], 'the one that is told to last');
  };

  before(async () => {
    host = createHost();
    hostNamespace(host.netns);
    guarded = await Promise.all([
      router(host.netns, 'frr', 1, 4),
      router(host.netns, 'frr', 2, 6),
      router(host.netns, 'bird', 3, 4),
      router(host.netns, 'bird', 4, 6),
      unnumbered(host.netns, 5),
    ]);
    const other = hostNamespace(createNetns());
    const place = { link: 'lasts', netns: other, own: '198.51.100.1/24', their: '198.51.100.2/24' };
    plug(host.netns, place);
    const kept = createRouter('bird', other, {
      routerId: '10.255.0.100',
      as: 65100,
      local: '198.51.100.2',
      neighbour: '198.51.100.1',
      neighbourAs: OUR_AS,
      holdTimeSec: HOLD_SEC,
      announce: ['10.100.0.0/16'],
    });
    await kept.start();
    const end = async (): Promise<void> => {
      await kept.kill();
      kept.dispose();
    };
    control = { ...place, name: '198.51.100.2', prefix: '10.100.0.0/16', end };
    await host.start();
    await host.apply(
      document('Node', 'h1', { bgp: { ipv4Address: '192.0.2.2/24', asNumber: OUR_AS } }),
      ...POOLS,
      ...guarded.map(({ link, name }, index) =>
        document(
          'BGPPeer',
          link,
          { node: 'h1', asNumber: 65001 + index, ...(name !== link && { peerIP: name }) },
          {
            families: 'ipv4,ipv6',
            ...(name === link && { interface: link, families: 'ipv6' }),
          },
        ),
      ),
      document(
        'BGPPeer',
        control.link,
        { node: 'h1', asNumber: 65100, peerIP: control.name },
        { 'fast-external-failover': 'false' },
      ),
    );
    await allUp();
  });
  after(async () => {
    disposeHosts();
    await Promise.all([...guarded, control].map(({ end }) => end()));
    await removeAllNetns();
  });

  it('the other end of the link goes down: no carrier here', async () => {
    for (const { netns } of [...guarded, control]) netns.sh('ip link set up0 down');
    await allDown('no carrier');
    const { stdout } = await host.cli(['bgp', 'peers', guarded[0]?.name ?? '']);
    assert.match(stdout, /link frr4 is down: no carrier/);
    assert.match(
      (await host.cli(['status'])).stdout,
      /BGP peer 2001:db8:18:4::2 \(AS 65004\) is Idle: link bird6 is down: no carrier/,
    );
    for (const { netns } of [...guarded, control]) netns.sh('ip link set up0 up');
    // What is local to a link the kernel takes from it all the same.
    for (const { netns, link, their } of guarded)
      if (link === 'free') netns.sh(`ip address replace ${their} dev up0 nodad`);
    await allUp();
  });

  it('the link is set down', async () => {
    for (const { link } of [...guarded, control]) host.netns.sh(`ip link set ${link} down`);
    await allDown('administratively down');
    assert.match((await host.cli(['bgp', 'peers'])).stdout, /link bird6 is down: administratively down/);
    for (const { link } of [...guarded, control]) host.netns.sh(`ip link set ${link} up`);
    for (const { link, own, netns, their } of guarded) {
      if (link !== 'free') continue;
      host.netns.sh(`ip address replace ${own} dev ${link} nodad`);
      netns.sh(`ip address replace ${their} dev up0 nodad`);
    }
    await allUp();
  });

  it('the link is deleted, and another of its name made', async () => {
    for (const { link } of [...guarded, control]) host.netns.sh(`ip link del ${link}`);
    await allDown('there is no such link');
    for (const each of [...guarded, control]) plug(host.netns, each);
    await allUp();
    for (const kind of ['frr', 'bird'] as const)
      seen(kind, 'link down ends the session at once, link up starts it');
  });

  it('switched off and on by an annotation, under the session', async () => {
    const [first] = guarded;
    assert.ok(first);
    const { link, name } = first;
    const { establishedAt } = await view(first);
    const peer = (value: string): string =>
      document(
        'BGPPeer',
        link,
        { node: 'h1', asNumber: 65001, peerIP: name },
        { families: 'ipv4,ipv6', 'fast-external-failover': value },
      );
    const dryRun = await host.cli(['apply', '--dry-run', '-f', '-'], peer('false'));
    assert.match(dryRun.stdout, new RegExp(`BGP session ${name}, BGPPeer ${link}: .*failoverLink`));
    await host.apply(peer('false'));
    assert.equal((await view(first)).establishedAt, establishedAt);
    host.netns.sh(`ip link set ${link} down`);
    const [, second] = guarded;
    assert.ok(second);
    host.netns.sh(`ip link set ${second.link} down`);
    await eventually('the other one goes', async () => (await view(second)).state === 'Idle', SOON);
    assert.equal((await view(first)).state, 'Established');
    await host.apply(peer('true'));
    await eventually('and this one now', async () => (await view(first)).state === 'Idle', SOON);
    for (const each of [first, second]) host.netns.sh(`ip link set ${each.link} up`);
    await allUp();
  });
});

describe('fast external failover of a speaker alone', function () {
  this.timeout(120_000);
  const ends: (() => Promise<void>)[] = [];
  let child: ChildProcess | undefined;
  after(async () => {
    child?.kill('SIGTERM');
    await Promise.all(ends.map((end) => end()));
    await removeAllNetns();
    removeTemporaryFolders();
  });

  it('what came over the link that lost its carrier is withdrawn from the others at once', async () => {
    const netns = hostNamespace(createNetns());
    const frr = await router(netns, 'frr', 1, 4);
    const far = hostNamespace(createNetns());
    connect(
      { netns, name: 'far', addresses: ['192.0.2.1/24'] },
      { netns: far, name: 'up0', addresses: ['192.0.2.2/24'] },
    );
    const bird = createRouter('bird', far, {
      routerId: '10.255.0.2',
      as: 65002,
      local: '192.0.2.2',
      neighbour: '192.0.2.1',
      neighbourAs: OUR_AS,
      holdTimeSec: HOLD_SEC,
      announce: [],
    });
    ends.push(frr.end, async () => {
      await bird.kill();
      bird.dispose();
    });
    await bird.start();
    const folder = temporaryFolder();
    const file = join(folder, 'speak.yaml');
    const socket = join(folder, 'speak.sock');
    writeFileSync(
      file,
      [
        document('Node', 'r1', { bgp: { asNumber: OUR_AS, ipv4Address: '192.0.2.1/24' } }),
        document('BGPFilter', 'all', {}),
        document('BGPPeer', 'frr', { peerIP: frr.name, asNumber: 65001, filters: ['all'] }),
        document('BGPPeer', 'bird', { peerIP: '192.0.2.2', asNumber: 65002, filters: ['all'] }),
      ].join('\n---\n'),
    );
    child = netns.spawn('sh', LAUNCHER, '--socket', socket, 'bgp', 'speak', '--config', file);
    for (const stream of [child.stdout, child.stderr]) stream?.resume();
    const api = new ApiClient(socket);
    const has = (what: string, wanted: readonly string[]): Promise<unknown> =>
      eventually(
        what,
        async () => {
          assert.deepEqual(
            (await bird.routes('ipv4')).map(({ prefix }) => prefix),
            wanted,
          );
          return true;
        },
        SOON,
      );
    await has('the route is passed on', ['10.1.0.0/16']);
    frr.netns.sh('ip link set up0 down');
    await has('and withdrawn', []);
    const peer = await api.call<PeerView>('GET', `/v1/bgp/peers/${frr.name}`);
    assert.deepEqual(
      [peer.state, peer.lastReset?.text, peer.gracefulRestart.helperUntil],
      ['Idle', 'link frr4 is down: no carrier', undefined],
    );
    const { stdout } = await runCli(['bgp', 'peers'], { socket });
    assert.match(stdout, /link frr4 is down: no carrier/);
    frr.netns.sh('ip link set up0 up');
    await has('and passed on again', ['10.1.0.0/16']);
    netns.sh('ip link set frr4 down');
    await has('withdrawn when it is set down here', []);
    netns.sh('ip link set frr4 up');
    await has('and there once more', ['10.1.0.0/16']);
  });
});

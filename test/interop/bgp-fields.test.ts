/** Fields of BGPPeer, BGPConfiguration and BGPFilter that change what is on the wire: FRR - `ocicat bgp speak` - BIRD. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiClient } from '../../src/api/client.ts';
import type { PathRow, PeerView } from '../../src/api/views.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { createRouter, type Router, type RouterRoute } from '../support/routers.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/cli/ocicat.sh', import.meta.url));
const WAIT = { timeoutMs: 30_000, intervalMs: 50 };
const FRR = '192.0.2.2';
const BIRD = '198.51.100.2';

const document = (kind: string, name: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec });

interface Parts {
  readonly frr?: object;
  readonly configuration?: object;
  readonly filter?: object;
}

describe('fields of BGP resources on the wire', function () {
  this.timeout(120_000);
  let netns: Netns;
  let file: string;
  let socket: string;
  let api: ApiClient;
  let frr: Router;
  let bird: Router;
  let child: ChildProcess | undefined;
  let log = '';

  const write = ({ frr: fields = {}, configuration, filter = {} }: Parts): void => {
    const text = [
      document('Node', 'r1', { bgp: { asNumber: 65001, ipv4Address: '192.0.2.1/24' } }),
      document('BGPFilter', 'all', {}),
      document('BGPFilter', 'f', filter),
      document('BGPPeer', 'frr', { peerIP: FRR, asNumber: 65002, filters: ['f'], ...fields }),
      document('BGPPeer', 'bird', { peerIP: BIRD, asNumber: 65003, filters: ['all'] }),
      ...(configuration === undefined ? [] : [document('BGPConfiguration', 'default', configuration)]),
      '{"apiVersion": "ocicat.dev/v1", "kind": "StaticRoutes", "metadata": {"name": "s"}, "spec": {"routes": [{"prefix": "10.1.0.0/16"}]}}',
    ];
    writeFileSync(`${file}.new`, text.join('\n---\n'));
    renameSync(`${file}.new`, file);
  };
  const until = async (what: string, check: () => boolean | Promise<boolean>): Promise<void> => {
    await eventually(what, check, WAIT).catch((cause: unknown) => {
      throw new Error(`${what} does not come; the log:\n${log.slice(-2000)}`, { cause });
    });
  };
  const peer = async (address = FRR): Promise<PeerView | undefined> =>
    (await api.call<PeerView[]>('GET', '/v1/bgp/peers')).find((each) => each.address === address);
  const at = async (): Promise<number> => (await peer())?.establishedAt ?? 0;
  const up = (after = 0): Promise<void> =>
    until('the session is up', async () => {
      const found = await peer();
      return found?.state === 'Established' && (found.establishedAt ?? 0) > after;
    });
  const onFrr = async (prefix: string): Promise<RouterRoute | undefined> =>
    (await frr.routes('ipv4')).find((route) => route.prefix === prefix);
  const received = async (prefix: string): Promise<PathRow | undefined> => {
    for await (const row of api.rows<PathRow>(`/v1/bgp/routes?received=${FRR}`))
      if (row.prefix === prefix) return row;
    return undefined;
  };
  const configure = (...lines: readonly string[]): Promise<string> =>
    frr.command('configure terminal', ...lines);

  before(async () => {
    netns = createNetns();
    const folder = temporaryFolder();
    file = join(folder, 'speak.yaml');
    socket = join(folder, 'speak.sock');
    api = new ApiClient(socket);
    const [left, right] = [createNetns(), createNetns()];
    connect(
      { netns, name: 'left', addresses: ['192.0.2.1/24'] },
      { netns: left, name: 'eth0', addresses: [`${FRR}/24`] },
    );
    connect(
      { netns, name: 'right', addresses: ['198.51.100.1/24'] },
      { netns: right, name: 'eth0', addresses: [`${BIRD}/24`] },
    );
    frr = createRouter('frr', left, {
      routerId: FRR,
      as: 65002,
      local: FRR,
      neighbour: '192.0.2.1',
      neighbourAs: 65001,
      announce: ['10.2.0.0/16'],
      gracefulRestart: true,
      holdTimeSec: 30,
    });
    bird = createRouter('bird', right, {
      routerId: BIRD,
      as: 65003,
      local: BIRD,
      neighbour: '198.51.100.1',
      neighbourAs: 65001,
      announce: ['10.3.0.0/16'],
    });
    await Promise.all([frr.start(), bird.start()]);
    write({});
    child = netns.spawn('sh', LAUNCHER, '--socket', socket, 'bgp', 'speak', '--config', file);
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
    await until('it answers', async () => {
      try {
        return (await peer(BIRD))?.state === 'Established';
      } catch {
        return false;
      }
    });
    await up();
  });
  after(async () => {
    child?.kill('SIGTERM');
    for (const router of [frr, bird]) {
      await router?.kill();
      router?.dispose();
    }
    await removeAllNetns();
    removeTemporaryFolders();
  });

  it('nextHopMode, keepOriginalNextHop, prefixAdvertisements and filter operations, under the session', async () => {
    const since = await at();
    const nextHop = (wanted: string): Promise<void> =>
      until(`next hop ${wanted}`, async () => (await onFrr('10.3.0.0/16'))?.nextHop === wanted);
    await nextHop('192.0.2.1');
    write({ frr: { nextHopMode: 'Keep' } });
    await nextHop(BIRD);
    write({ frr: { nextHopMode: 'Self' } });
    await nextHop('192.0.2.1');
    write({ frr: { keepOriginalNextHop: true } });
    await nextHop(BIRD);
    write({
      configuration: {
        prefixAdvertisements: [{ cidr: '10.0.0.0/8', communities: ['65001:7', '65001:1:2'] }],
      },
      filter: {
        exportV4: [
          {
            asPathPrefix: [65003],
            action: 'Accept',
            operations: [
              { addCommunity: { value: '65001:9' } },
              { prependASPath: { prefix: [65001, 65001] } },
            ],
          },
        ],
      },
    });
    await until(
      'the operations show',
      async () => (await onFrr('10.3.0.0/16'))?.asPath.join(' ') === '65001 65001 65001 65003',
    );
    const text = await frr.command('show bgp ipv4 unicast 10.3.0.0/16');
    assert.match(text, /Community: 65001:9/);
    assert.match(
      await frr.command('show bgp ipv4 unicast 10.1.0.0/16'),
      /Community: 65001:7\s+Large Community: 65001:1:2/,
    );
    assert.equal(await onFrr('10.0.0.0/8'), undefined, 'the prefix itself is not originated');
    assert.equal(await at(), since, 'the session stays');
  });

  it('numAllowedLocalASNumbers lets our own AS pass, once', async () => {
    await configure(
      'route-map loop permit 10',
      'set as-path prepend 65001',
      'exit',
      'router bgp 65002',
      'address-family ipv4 unicast',
      'neighbor 192.0.2.1 route-map loop out',
    );
    await until('it is a loop', async () => (await received('10.2.0.0/16'))?.unusable === 'as-path-loop');
    write({ frr: { numAllowedLocalASNumbers: 1 } });
    await until('it is none any more', async () => (await received('10.2.0.0/16'))?.valid === true);
    await configure(
      'router bgp 65002',
      'address-family ipv4 unicast',
      'no neighbor 192.0.2.1 route-map loop out',
    );
  });

  it('maxRestartTime and keepaliveTime are told in the OPEN and kept', async () => {
    const since = await at();
    write({ frr: { maxRestartTime: '33s', keepaliveTime: '5s' } });
    await up(since);
    assert.equal((await peer())?.keepaliveTimeSec, 5);
    assert.match(
      await frr.command('show bgp ipv4 neighbors 192.0.2.1 graceful-restart'),
      /Received Restart Time\(sec\): 33\n/,
    );
  });

  it('localASNumber is our AS towards this peer alone', async () => {
    const since = await at();
    await configure('router bgp 65002', 'neighbor 192.0.2.1 remote-as 65100');
    write({ frr: { localASNumber: 65100 } });
    await up(since);
    await until(
      'paths start with it',
      async () => (await onFrr('10.3.0.0/16'))?.asPath.join(' ') === '65100 65003',
    );
    await configure('router bgp 65002', 'neighbor 192.0.2.1 remote-as 65001');
  });

  it('ttlSecurity keeps out who does not send 255, and works with who does', async () => {
    write({ frr: { ttlSecurity: 1 } });
    await until('the session is down', async () => (await peer())?.state !== 'Established');
    await configure('router bgp 65002', 'neighbor 192.0.2.1 ttl-security hops 1');
    await up();
  });

  it('listenPort and bindMode say where peers reach us; sessions come back', async () => {
    const since = await at();
    write({ frr: { ttlSecurity: 1 }, configuration: { listenPort: 1179, bindMode: 'NodeIP' } });
    await until('it listens there alone', () => {
      const sockets = netns.run('ss', '-Hltn');
      return (
        /192\.0\.2\.1:1179\s/.test(sockets) &&
        !/:179\s/.test(sockets) &&
        !/(0\.0\.0\.0|\*|\[::\]):1179/.test(sockets)
      );
    });
    await up(since);
  });
});

/** Peer groups and peers that come by themselves: `ocicat bgp speak` knows FRR and BIRD by prefix only. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiClient } from '../../src/api/client.ts';
import type { PathRow, PeerView } from '../../src/api/views.ts';
import { runCli } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { resourceText } from '../support/resource-text.ts';
import { createRouter, type Router } from '../support/routers.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/cli/ocicat.sh', import.meta.url));
const WAIT = { timeoutMs: 30_000, intervalMs: 50 };
const FRR = '192.0.2.2';
const BIRD = '2001:db8:b::2';

describe('peer groups and ranges of peers', function () {
  this.timeout(120_000);
  let netns: Netns;
  let file: string;
  let socket: string;
  let key: string;
  let api: ApiClient;
  let frr: Router;
  let bird: Router;
  let child: ChildProcess | undefined;
  let log = '';

  const write = (group: Record<string, string>, listen: Record<string, string>): void => {
    const text = [
      resourceText('Node', 'r1', { bgp: { asNumber: 65001, ipv4Address: '192.0.2.1/24' } }),
      resourceText('BGPFilter', 'all', {}),
      resourceText('BGPPeer', 'tors', { filters: ['all'] }, { template: 'true', 'hold-time': '9', ...group }),
      resourceText('BGPPeer', 'rack-a', {}, { 'peer-group': 'tors', 'remote-as': '65002,65009', ...listen }),
      resourceText(
        'BGPPeer',
        'rack-b',
        { asNumber: 65003 },
        { 'peer-group': 'tors', 'listen-range': '2001:db8:b::/64' },
      ),
    ];
    writeFileSync(`${file}.new`, text.join('\n---\n'));
    renameSync(`${file}.new`, file);
  };
  const peers = (): Promise<PeerView[]> => api.call<PeerView[]>('GET', '/v1/bgp/peers');
  const until = async (what: string, check: () => boolean | Promise<boolean>): Promise<void> => {
    await eventually(what, check, WAIT).catch((cause: unknown) => {
      throw new Error(`${what} does not come; the log:\n${log.slice(-2000)}`, { cause });
    });
  };
  const peer = async (name: string): Promise<PeerView | undefined> =>
    (await peers()).find((each) => each.name === name);
  const up = (name: string, after = 0): Promise<void> =>
    until(`${name} is up`, async () => {
      const found = await peer(name);
      return found?.state === 'Established' && (found.establishedAt ?? 0) > after;
    });
  const setKey = (value: string): Promise<string> =>
    frr.command('configure terminal', 'router bgp 65002', `neighbor 192.0.2.1 password ${value}`);
  let range: Record<string, string>;

  before(async () => {
    netns = createNetns();
    const folder = temporaryFolder();
    file = join(folder, 'speak.yaml');
    socket = join(folder, 'speak.sock');
    key = join(folder, 'rack.key');
    api = new ApiClient(socket);
    range = { 'listen-range': '192.0.2.0/24', 'listen-limit': '1', 'password-file': key };
    const [left, right] = [createNetns(), createNetns()];
    connect(
      { netns, name: 'left', addresses: ['192.0.2.1/24'] },
      { netns: left, name: 'eth0', addresses: [`${FRR}/24`] },
    );
    connect(
      { netns, name: 'right', addresses: ['2001:db8:b::1/64'] },
      { netns: right, name: 'eth0', addresses: [`${BIRD}/64`] },
    );
    const common = { neighbourAs: 65001, holdTimeSec: 9 };
    frr = createRouter('frr', left, {
      ...common,
      routerId: FRR,
      as: 65002,
      local: FRR,
      neighbour: '192.0.2.1',
      announce: ['10.2.0.0/16'],
    });
    bird = createRouter('bird', right, {
      ...common,
      routerId: '192.0.2.3',
      as: 65003,
      local: BIRD,
      neighbour: '2001:db8:b::1',
      announce: ['2001:db8:3::/48'],
    });
    await Promise.all([frr.start(), bird.start()]);
    writeFileSync(key, 'first\n', { mode: 0o600 });
    await setKey('first');
    write({}, range);
    child = netns.spawn('sh', LAUNCHER, '--socket', socket, 'bgp', 'speak', '--config', file);
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
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

  it('peers come by themselves, with the key of the whole prefix, and exchange routes', async () => {
    await until('both came', async () => (await peers().catch(() => [])).length === 2);
    await up(FRR);
    await up(BIRD);
    const found = await peer(FRR);
    assert.deepEqual(
      [found?.resource, found?.group, found?.dynamic, found?.asNumber, found?.holdTimeSec],
      ['BGPPeer rack-a', 'tors', true, 65002, 9],
    );
    await until('the routes of both are there', async () => {
      const rows: string[] = [];
      for await (const row of api.rows<PathRow>('/v1/bgp/routes')) if (row.valid) rows.push(row.prefix);
      return rows.includes('10.2.0.0/16') && rows.includes('2001:db8:3::/48');
    });
    const { stdout } = await runCli(['bgp', 'peers', '-o', 'wide'], { socket });
    assert.match(stdout, /^\*192\.0\.2\.2 +65002 +Established.* tors +BGPPeer rack-a/m);
  });

  it('a wrong key keeps a peer out; a new key in the file lets it in, and the other session stays', async () => {
    const other = await peer(BIRD);
    await setKey('second');
    await until('the session is gone', async () => (await peer(FRR))?.state !== 'Established');
    writeFileSync(key, 'second\n');
    await up(FRR);
    assert.equal((await peer(BIRD))?.establishedAt, other?.establishedAt);
  });

  it('what changes in the group resets its sessions, and is said', async () => {
    const before = (await peer(FRR))?.establishedAt ?? 0;
    write({ 'hold-time': '12' }, range);
    await until('it is said', () => /192\.0\.2\.2.*holdTimeSec.*its session is reset/.test(log));
    await up(FRR, before);
  });

  it('a peer of another AS, or from outside of the range, is no peer', async () => {
    write({}, { ...range, 'remote-as': '65009' });
    await until('the session is gone', async () => (await peer(FRR))?.state !== 'Established');
    await until('FRR was told', async () => /Bad Peer AS|bad peer AS/i.test(await frr.lastError()));
    write({}, { ...range, 'listen-range': '192.0.2.128/25' });
    await until('it is no peer', async () => (await peer(FRR)) === undefined);
    write({}, range);
    await up(FRR);
  });
});

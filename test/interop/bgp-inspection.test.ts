/** The agent with a real FRR: what the command line finds in routes, resets of both kinds, and the messages of a session as they go by. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { BgpSummaryView, CapturedRow, PathRow, PeerView } from '../../src/api/views.ts';
import { type AgentHost, createHost, disposeHosts, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { removeAllNetns } from '../support/netns.ts';
import { createRouter, type Router } from '../support/routers.ts';

const PEER = '192.0.2.1';
const SLOW = { timeoutMs: 30_000 };
const NODE = `apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h1}
spec: {bgp: {ipv4Address: 192.0.2.2/24, asNumber: 65101}}`;
const TOR = `apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: tor}
spec: {node: h1, peerIP: ${PEER}, asNumber: 65001}`;

describe('inspection of BGP: the agent and FRR', function () {
  this.timeout(120_000);
  let host: AgentHost;
  let router: Router;

  const rows = async <Row>(line: string): Promise<Row[]> => {
    const parsed: Row[] = JSON.parse(await host.ocicat(`${line} -o json`));
    return parsed;
  };
  const prefixes = async (...args: readonly string[]): Promise<string[]> => {
    const { status, stdout, stderr } = await host.cli(['bgp', 'routes', ...args, '-o', 'json']);
    assert.ok(status === 0 || /no route/.test(stderr), stderr);
    const parsed: PathRow[] = JSON.parse(stdout);
    return parsed.map(({ prefix }) => prefix).sort();
  };
  const peer = async (): Promise<PeerView> => JSON.parse(await host.ocicat(`bgp peers ${PEER} -o json`));

  before(async () => {
    host = createHost();
    router = createRouter('frr', host.router, {
      routerId: PEER,
      as: 65001,
      local: PEER,
      neighbour: '192.0.2.2',
      neighbourAs: 65101,
      announce: ['10.20.0.0/16', '10.20.30.0/24', '10.30.0.0/16'],
    });
    await router.start();
    await router.command(
      'configure terminal',
      'ip prefix-list marked seq 5 permit 10.20.30.0/24',
      'route-map mark permit 10',
      'match ip address prefix-list marked',
      'set as-path prepend 64999 64998',
      'set community 65001:100 no-export',
      'set large-community 65001:1:2',
      'exit',
      'route-map mark permit 20',
      'exit',
      'router bgp 65001',
      'address-family ipv4 unicast',
      'neighbor 192.0.2.2 send-community all',
      'neighbor 192.0.2.2 route-map mark out',
    );
    await host.start();
    await host.apply(NODE, ...POOLS, TOR);
    await eventually(
      'the marked route is here',
      async () => (await prefixes('--community', '65001:100')).length === 1,
      SLOW,
    );
  });
  after(async () => {
    disposeHosts();
    await router?.kill();
    router?.dispose();
    await removeAllNetns();
  });

  it('routes by match, AS path, community, peer and state', async () => {
    const [wide, narrow, other] = ['10.20.0.0/16', '10.20.30.0/24', '10.30.0.0/16'];
    assert.deepEqual(await prefixes('10.20.30.5'), [narrow]);
    assert.deepEqual(await prefixes('10.20.30.5', '--covering'), [wide, narrow]);
    assert.deepEqual(await prefixes('10.20.0.0/15', '--covered'), [wide, narrow]);
    assert.deepEqual(await prefixes('10.20.31.0/24', '--longest'), [wide]);
    assert.deepEqual(await prefixes('--as-path', '_64999_'), [narrow]);
    assert.deepEqual(await prefixes('--as-path', '^65001$'), [wide, other]);
    assert.deepEqual(await prefixes('--as-path', '[= 65001 64999 ? =]'), [narrow]);
    for (const community of ['no-export', '65001:*', '65001:1:2']) {
      assert.deepEqual(await prefixes('--community', community), [narrow], community);
    }
    assert.deepEqual(await prefixes('--community', '65001:7'), []);
    assert.deepEqual(await prefixes('--peer', 'tor', '--state', 'best'), [wide, narrow, other]);
    assert.deepEqual(await prefixes('--accepted', 'tor', '--as-path', '64998$'), [narrow]);
    assert.deepEqual(await prefixes('--received', 'tor', '--state', 'valid', '--ipv4'), [
      wide,
      narrow,
      other,
    ]);
    for (const args of [['--as-path', '(1'], ['--community', 'x'], ['--state', 'x'], ['--covered']]) {
      const { status, stderr } = await host.cli(['bgp', 'routes', ...args]);
      assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
    }
  });

  it('summary', async () => {
    const view: BgpSummaryView = JSON.parse(await host.ocicat('bgp summary -o json'));
    assert.deepEqual([view.asNumber, view.routerId, view.peers.length], [65101, '192.0.2.2', 1]);
    const text = await host.ocicat('bgp summary');
    assert.match(text, /^BGP router identifier 192\.0\.2\.2, local AS number 65101\n/);
    assert.match(text, /\n192\.0\.2\.1 +65001 .* BGPPeer tor\n/);
    assert.match(text, /\n1 neighbor, 1 established\n$/);
  });

  it('capture shows what soft and hard resets send, and the file is read by tcpdump and by decode', async () => {
    const before = await peer();
    const pcap = join(host.folder, 'session.pcap');
    const capture = host.cli(['bgp', 'capture', 'tor', '--pcap', pcap, '-c', '6', '-o', 'json']);
    let isOver = false;
    void capture.finally(() => {
      isOver = true;
    });
    // Until the capture is under way, what is asked for passes unseen: it is asked for again.
    await eventually(
      'enough messages passed',
      async () => {
        if (!isOver) await host.ocicat('bgp reset tor soft in');
        return isOver;
      },
      { timeoutMs: 30_000, intervalMs: 300 },
    );
    const { status, stdout, stderr } = await capture;
    assert.equal(status, 0, stderr);
    const messages: Exclude<CapturedRow, { lost: number }>[] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.ok(messages.every(({ verdict }) => verdict.verdict === 'valid'));
    // The session was up: how it began comes first, as it was then.
    const earlier = messages.filter((message) => message.earlier === true);
    assert.deepEqual(messages.slice(0, 4), earlier);
    assert.deepEqual(earlier.map(({ direction, verdict }) => `${direction} ${verdict.type}`).sort(), [
      'received keepalive',
      'received open',
      'sent keepalive',
      'sent open',
    ]);
    assert.ok(earlier.every(({ at }) => at <= (before.establishedAt ?? 0)));
    assert.equal(messages.length, 4 + 6);
    const kinds = messages.map(({ direction, verdict }) => `${direction} ${verdict.type}`);
    assert.ok(kinds.includes('sent route-refresh'), kinds.join(', '));
    assert.ok(kinds.includes('received update'), kinds.join(', '));
    const lines = (await host.ocicat(`bgp decode --file ${pcap} --jsonl`)).trim().split('\n');
    assert.equal(lines.length, 4 + 6);
    assert.ok(
      lines.every((line) => line.includes('"verdict":"valid"')),
      lines.join('\n'),
    );
    // FRR's paths have 4-octet AS numbers: without the OPENs they would not read as this.
    assert.match(lines.join('\n'), /"asPath":\[\{"type":"sequence","asNumbers":\[65001,64999,64998\]\}\]/);
    const dump = execFileSync('tcpdump', ['-nvr', pcap], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    assert.match(dump, /Route Refresh Message/);
    assert.match(dump, /10\.30\.0\.0\/16/);
    assert.doesNotMatch(dump, /bad cksum|incorrect/);
    assert.equal((await peer()).establishedAt, before.establishedAt);

    assert.match(await host.ocicat('bgp reset tor'), /peer 192\.0\.2\.1: session reset/);
    await eventually(
      'the session is back',
      async () => {
        const now = await peer();
        return now.state === 'Established' && (now.establishedAt ?? 0) > (before.establishedAt ?? 0);
      },
      SLOW,
    );
    assert.match((await peer()).lastReset?.text ?? '', /Administrative Reset/i);
    const unknown = await host.cli(['bgp', 'reset', '192.0.2.99', 'soft', 'out']);
    assert.equal(unknown.status, 1);
    assert.equal((await host.cli(['bgp', 'reset', 'tor', 'softly'])).status, 2);
  });

  it('a peer that is not there cannot be captured', async () => {
    const { status, stderr } = await host.cli(['bgp', 'capture', '192.0.2.99']);
    assert.equal(status, 1);
    assert.match(stderr, /no BGP peer 192\.0\.2\.99/);
    assert.equal((await rows<PeerView>('bgp peers')).length, 1);
  });
});

/**
 * What we show of sessions and routes beside what FRR, BIRD and GoBGP show of the same: the agent's command line with FRR as its router, and our
 * speaker with each of them.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { BgpSummaryView, CapturedRow, PathRow, PeerView } from '../../src/api/views.ts';
import type { AgentHost } from '../support/agent.ts';
import {
  type AgentAndFrr,
  endAgentAndFrr,
  OWN_AS,
  PEER,
  pathsOf,
  peerOf,
  startAgentAndFrr,
  TOR_AS,
} from '../support/agent-frr.ts';
import { eventually } from '../support/eventually.ts';
import { Bench } from '../support/matrix-bench.ts';
import { createNetns, removeAllNetns } from '../support/netns.ts';
import type { Router } from '../support/routers.ts';

const SLOW = { timeoutMs: 30_000 };

/** `vtysh -c 'show bgp neighbors json'`, of what is compared here. */
interface FrrNeighbour {
  readonly remoteAs: number;
  readonly remoteRouterId: string;
  readonly localRouterId: string;
  readonly bgpState: string;
  readonly bgpTimerHoldTimeMsecs: number;
  readonly bgpTimerKeepAliveIntervalMsecs: number;
  readonly hostLocal: string;
  readonly portLocal: number;
  readonly hostForeign: string;
  readonly portForeign: number;
  readonly connectionsEstablished: number;
  readonly connectionsDropped: number;
  readonly lastShutdownDescription?: string;
  readonly messageStats: Readonly<Record<string, number>>;
  readonly addressFamilyInfo: Readonly<Record<string, { readonly acceptedPrefixCounter?: number }>>;
}

describe('inspection of BGP: the agent and FRR', function () {
  this.timeout(120_000);
  let both: AgentAndFrr | undefined;
  let host: AgentHost;
  let router: Router;

  const prefixes = async (query: Readonly<Record<string, string>>): Promise<string[]> =>
    (await pathsOf(host, query)).map(({ prefix }) => prefix).sort();
  const peer = (): Promise<PeerView> => peerOf(host, PEER);
  const neighbour = async (): Promise<FrrNeighbour> => {
    const all: Record<string, FrrNeighbour> = JSON.parse(
      await router.command('show bgp neighbors 192.0.2.2 json'),
    );
    const found = all['192.0.2.2'];
    assert.ok(found);
    return found;
  };

  before(async () => {
    both = await startAgentAndFrr(['10.20.0.0/16', '10.20.30.0/24', '10.30.0.0/16'], { tor: PEER }, [
      'configure terminal',
      'ip prefix-list marked seq 5 permit 10.20.30.0/24',
      'route-map mark permit 10',
      'match ip address prefix-list marked',
      'set as-path prepend 64999 64998',
      'set community 65001:100 no-export',
      'set large-community 65001:1:2',
      'set extcommunity rt 65001:7',
      'exit',
      'route-map mark permit 20',
      'exit',
      'router bgp 65001',
      'address-family ipv4 unicast',
      'neighbor 192.0.2.2 send-community all',
      'neighbor 192.0.2.2 route-map mark out',
    ]);
    ({ host, router } = both);
    await host.add('c1', createNetns());
    await eventually(
      'the marked route is here, and the block is there',
      async () =>
        (await prefixes({ community: '65001:100' })).length === 1 &&
        (await router.routes('ipv4')).length === 1,
      SLOW,
    );
  });
  after(() => endAgentAndFrr(both));

  it('routes by match, AS path, community, peer and state', async () => {
    const [wide, narrow, other] = ['10.20.0.0/16', '10.20.30.0/24', '10.30.0.0/16'];
    assert.deepEqual(await prefixes({ prefix: '10.20.30.5' }), [narrow]);
    assert.deepEqual(await prefixes({ prefix: '10.20.30.5', match: 'covering' }), [wide, narrow]);
    assert.deepEqual(await prefixes({ prefix: '10.20.0.0/15', match: 'covered' }), [wide, narrow]);
    assert.deepEqual(await prefixes({ prefix: '10.20.31.0/24', match: 'longest' }), [wide]);
    assert.deepEqual(await prefixes({ 'as-path': '_64999_' }), [narrow]);
    assert.deepEqual(await prefixes({ 'as-path': '^65001$' }), [wide, other]);
    assert.deepEqual(await prefixes({ 'as-path': '[= 65001 64999 ? =]' }), [narrow]);
    for (const community of ['no-export', '65001:*', '65001:1:2', 'rt:65001:7']) {
      assert.deepEqual(await prefixes({ community }), [narrow], community);
    }
    assert.deepEqual(await prefixes({ community: '65001:7' }), []);
    assert.deepEqual(await prefixes({ peer: 'tor', state: 'best' }), [wide, narrow, other]);
    assert.deepEqual(await prefixes({ accepted: 'tor', 'as-path': '64998$' }), [narrow]);
    assert.deepEqual(await prefixes({ received: 'tor', state: 'valid', family: 'ipv4' }), [
      wide,
      narrow,
      other,
    ]);
  });

  it('routes by the options of the command, and what it refuses', async () => {
    const { status, stdout } = await host.cli(
      'bgp routes 10.20.30.5 --covering --as-path _64999_ --community no-export --state best --ipv4 -o json'.split(
        ' ',
      ),
    );
    assert.equal(status, 0);
    const rows: PathRow[] = JSON.parse(stdout);
    assert.deepEqual(
      rows.map(({ prefix, extendedCommunities }) => [prefix, extendedCommunities]),
      [['10.20.30.0/24', ['rt:65001:7']]],
    );
    const refused = [['--as-path', '(1'], ['--community', 'no-exprot'], ['--state', 'x'], ['--covered']];
    const results = await Promise.all(refused.map((args) => host.cli(['bgp', 'routes', ...args])));
    for (const [index, { status, stderr }] of results.entries()) {
      assert.equal(status, 2, `${refused[index]?.join(' ')}: ${stderr}`);
    }
  });

  it('summary', async () => {
    const view: BgpSummaryView = JSON.parse(await host.ocicat('bgp summary -o json'));
    assert.deepEqual([view.asNumber, view.routerId, view.peers.length], [OWN_AS, '192.0.2.2', 1]);
    const text = await host.ocicat('bgp summary');
    assert.match(text, /^BGP router identifier 192\.0\.2\.2, local AS number 65101\n/);
    assert.match(text, /\n192\.0\.2\.1 +65001 .* BGPPeer tor\n/);
    assert.match(text, /\n1 neighbor, 1 established\n$/);
  });

  it('capture shows how the session began and what soft resets send; tcpdump and decode read the file', async () => {
    const before = await peer();
    const pcap = join(host.folder, 'session.pcap');
    const capture = host.cli(['bgp', 'capture', 'tor', '--pcap', pcap, '-c', '6', '-o', 'json']);
    let isOver = false;
    void capture.finally(() => {
      isOver = true;
    });
    // Until the capture is under way, what is asked for passes unseen: it is asked for again, once it was answered, so that there are answers among
    // what is captured, however long FRR takes.
    let answered = -1;
    await eventually(
      'enough messages passed',
      async () => {
        if (isOver) return true;
        const { update } = (await peer()).messages.received;
        if (update > answered) await host.api.call('POST', '/v1/bgp/peers/tor/reset', { kind: 'soft-in' });
        answered = Math.max(answered, update);
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
    const decoded = (await host.ocicat(`bgp decode --file ${pcap} --jsonl`)).trim();
    const lines = decoded.split('\n');
    assert.equal(lines.length, 4 + 6);
    assert.ok(
      lines.every((line) => line.includes('"verdict":"valid"')),
      decoded,
    );
    assert.match(decoded, /"asPath":\[\{"type":"sequence","asNumbers":\[65001,64999,64998\]\}\]/);
    const dump = execFileSync('tcpdump', ['-nvr', pcap], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    assert.match(dump, /Open Message \(1\)/);
    assert.match(dump, /Route Refresh Message/);
    assert.match(dump, /10\.30\.0\.0\/16/);
    assert.doesNotMatch(dump, /bad cksum|incorrect/);
    assert.equal((await peer()).establishedAt, before.establishedAt);
  });

  it('figures of the session, and what soft resets add to them, are those that FRR has', async () => {
    const [ours, theirs] = await Promise.all([peer(), neighbour()]);
    const { connection, timers } = ours;
    assert.deepEqual(
      [
        connection?.local.address,
        connection?.local.port,
        connection?.remote.address,
        connection?.remote.port,
      ],
      [theirs.hostForeign, theirs.portForeign, theirs.hostLocal, theirs.portLocal],
    );
    assert.deepEqual([ours.routerId, ours.localRouterId], [theirs.localRouterId, theirs.remoteRouterId]);
    assert.deepEqual([ours.asNumber, ours.localAs], [TOR_AS, theirs.remoteAs]);
    assert.equal((timers.negotiated?.holdTimeSec ?? 0) * 1000, theirs.bgpTimerHoldTimeMsecs);
    assert.equal(ours.counters['establishedCount'], theirs.connectionsEstablished);
    assert.equal(ours.counters['droppedCount'], theirs.connectionsDropped);
    assert.equal(
      ours.families.ipv4.advertised,
      theirs.addressFamilyInfo['ipv4Unicast']?.acceptedPrefixCounter,
    );
    for (const kind of ['soft-in', 'soft-out']) {
      await host.api.call('POST', '/v1/bgp/peers/tor/reset', { kind });
    }
    const ourCounts = ({ messages: { received: r, sent: s } }: PeerView): number[] => [
      ...[r.open, r.update, r.notification, r.routeRefresh],
      ...[s.open, s.update, s.notification, s.routeRefresh],
    ];
    const theirCounts = ({ messageStats: m }: FrrNeighbour): number[] =>
      ['Sent', 'Recv'].flatMap((way) =>
        ['opens', 'updates', 'notifications', 'routeRefresh'].map((type) => m[`${type}${way}`] ?? Number.NaN),
      );
    // Of earlier connections each side may have counted what the other never read: what has been added since is compared.
    const added = (after: number[], before: number[]): number[] =>
      after.map((count, index) => count - (before[index] ?? 0));
    const counts = await eventually(
      'both sides count the same',
      async () => {
        const [mine, other] = await Promise.all([peer(), neighbour()]);
        const counted = added(ourCounts(mine), ourCounts(ours));
        assert.deepEqual(counted, added(theirCounts(other), theirCounts(theirs)));
        assert.ok((counted[1] ?? 0) > 0 && (counted[5] ?? 0) > 0, counted.join());
        return counted;
      },
      SLOW,
    );
    const [openIn, , notifiedIn, refreshIn, openOut, , notifiedOut, refreshOut] = counts;
    assert.deepEqual([openIn, notifiedIn, refreshIn, openOut, notifiedOut, refreshOut], [0, 0, 0, 0, 0, 1]);
  });

  it('a hard reset and a shutdown by FRR: both NOTIFICATIONs, decoded', async () => {
    const before = await peer();
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
    await router.shutdown('new cables at noon');
    const down = await eventually(
      'the shutdown is seen',
      async () => {
        const now = await peer();
        return now.lastReset?.direction === 'received' && now.lastReset.subcode === 2 && now;
      },
      SLOW,
    );
    assert.match(down.lastReset?.text ?? '', /Administrative Shutdown \(6\/2\): new cables at noon/);
    const { received, sent } = down.lastNotification;
    assert.deepEqual(
      [received?.code, received?.subcode, received?.shutdownCommunication, sent?.code, sent?.subcode],
      [6, 2, 'new cables at noon', 6, 4],
    );
    const text = await host.ocicat(`bgp peers ${PEER}`);
    assert.match(text, /\.\.\. received .*Cease\/Administrative Shutdown \(6\/2\): new cables at noon/);
    assert.match(text, /NOTIFICATION sent +.*Cease\/Administrative Reset \(6\/4\)/);
    await router.command('configure terminal', `router bgp ${TOR_AS}`, 'no neighbor 192.0.2.2 shutdown');
    await eventually('the session is back', async () => (await peer()).state === 'Established', SLOW);
  });

  it('drain: FRR sees 65535:0 and then the end, with its text; undrain brings the session back (RFC 8326)', async () => {
    assert.match(await host.ocicat('bgp drain --wait 120'), /tagged 65535:0, the sessions end in 120 s/);
    await eventually(
      'FRR has our block tagged',
      async () =>
        /Displayed +[1-9]/.test(await router.command('show bgp ipv4 unicast community graceful-shutdown')),
      SLOW,
    );
    assert.equal((await peer()).state, 'Established');
    assert.match(await host.ocicat('bgp summary'), /out of service \(draining\)/);
    assert.match(await host.ocicat('bgp drain --wait 0 --text moving'), /drained/);
    await eventually(
      'FRR was told',
      async () => /Administrative Shutdown/i.test(await router.command('show bgp neighbors 192.0.2.2')),
      SLOW,
    );
    const { sent } = (await peer()).lastNotification;
    assert.deepEqual([sent?.code, sent?.subcode, sent?.shutdownCommunication], [6, 2, 'moving']);
    assert.equal((await peer()).state, 'Idle(Admin)');
    assert.equal(await host.ocicat('bgp undrain'), 'in service\n');
    await eventually('the session is back', async () => (await peer()).state === 'Established', SLOW);
  });

  it('a peer that is not there can be neither captured nor reset', async () => {
    const commands = [
      ['capture', '192.0.2.99'],
      ['reset', '192.0.2.99', 'soft', 'out'],
    ];
    for (const { status, stderr } of await Promise.all(commands.map((args) => host.cli(['bgp', ...args])))) {
      assert.equal(status, 1);
      assert.match(stderr, /no BGP peer 192\.0\.2\.99/);
    }
    assert.equal((await host.cli(['bgp', 'reset', 'tor', 'softly'])).status, 2);
  });
});

/** Session of our speaker with a router: its own words beside our figures. */
describe('inspection of BGP: figures beside those of BIRD and GoBGP', function () {
  this.timeout(60_000);
  const benches: Bench[] = [];
  const start = async (kind: 'bird' | 'gobgp'): Promise<Bench> => {
    const bench = new Bench(kind, { restartTimeSec: 77, ...(kind === 'bird' && { addPath: true }) });
    benches.push(bench);
    await bench.start({
      restartTimeSec: 99,
      extra: { addPath: { receive: ['ipv4', 'ipv6'] }, enhancedRouteRefresh: true, extendedMessages: true },
    });
    await bench.weHave('10.2.0.0/16');
    await bench.theyHave('10.1.0.0/16');
    return bench;
  };
  const viewOf = async (bench: Bench): Promise<PeerView> => (await bench.speaker.peer(bench.peer)).view;
  const compared = ({ capabilities }: PeerView, code: number, family = '') =>
    capabilities.compared.find((row) => row.code === code && row.name.endsWith(family));

  after(async () => {
    for (const bench of benches) await bench.end();
    await removeAllNetns();
  });

  it('BIRD: capabilities, hold time, router ids, prefixes imported and exported', async () => {
    const bench = await start('bird');
    const view = await viewOf(bench);
    const text = await bench.router.log();
    const [, local = '', neighbour = ''] =
      /Local capabilities\n([\s\S]*?)Neighbor capabilities\n([\s\S]*?)Session:/.exec(text) ?? [];
    assert.match(neighbour, /Enhanced refresh/);
    assert.equal(compared(view, 70)?.sent?.text, '');
    assert.equal(compared(view, 70)?.received !== undefined, /Enhanced refresh/.test(local));
    assert.equal(compared(view, 6)?.received !== undefined, /Extended message/.test(local));
    assert.match(neighbour, /Restart time: 99/);
    assert.equal(compared(view, 64)?.sent?.parameters['restartTimeSec'], 99);
    assert.match(local, /Restart time: 77/);
    assert.equal(compared(view, 64)?.received?.parameters['restartTimeSec'], 77);
    assert.match(local, /ADD-PATH\n\s+RX: ipv4 ipv6\n\s+TX: ipv4 ipv6/);
    assert.equal(compared(view, 69)?.received?.text, 'ipv4-unicast both ipv6-unicast both');
    assert.deepEqual(view.terms?.addPathReceive, ['ipv4', 'ipv6']);
    assert.deepEqual(view.terms?.addPathSend, []);
    assert.equal(/Neighbor ID: +(\S+)/.exec(text)?.[1], view.localRouterId);
    const [, remaining, hold] = /Hold timer: +([\d.]+)\/(\d+)/.exec(text) ?? [];
    assert.equal(view.timers.negotiated?.holdTimeSec, Number(hold));
    assert.ok((view.timers.remainingMs.hold ?? 0) > 0 && Number(remaining) > 0);
    // The second family's routes may still be on their way.
    await eventually('the same numbers of routes', async () => {
      const { families } = await viewOf(bench);
      const routes = [...(await bench.router.log()).matchAll(/Routes: +(\d+) imported, (\d+) exported/g)];
      return (['ipv4', 'ipv6'] as const).every((family, index) => {
        const [, imported, exported] = routes[index] ?? [];
        const { advertised, received, pending } = families[family];
        return advertised === Number(imported) && received === Number(exported) && pending === 0;
      });
    });
  });

  it('GoBGP: messages by type, capabilities both ways, prefixes', async () => {
    const bench = await start('gobgp');
    const [view, text] = await eventually(
      'both sides count the same messages',
      async () => {
        const [ours, theirs] = [await viewOf(bench), await bench.router.log()];
        const line = (title: string): number[] =>
          (new RegExp(`${title}: +(\\d+) +(\\d+)`).exec(theirs) ?? []).slice(1).map(Number);
        const { received: r, sent: s } = ours.messages;
        assert.deepEqual(line('Opens'), [r.open, s.open]);
        assert.deepEqual(line('Updates'), [r.update, s.update]);
        assert.deepEqual(line('Notifications'), [r.notification, s.notification]);
        assert.deepEqual(line('Route Refresh'), [r.routeRefresh, s.routeRefresh]);
        return [ours, theirs] as const;
      },
      SLOW,
    );
    const both = (title: string): boolean => new RegExp(`${title}:\\s+advertised and received`).test(text);
    const isBoth = (code: number, family = ''): boolean => {
      const row = compared(view, code, family);
      return row?.sent !== undefined && row.received !== undefined;
    };
    assert.deepEqual(
      [isBoth(1, 'ipv4-unicast'), isBoth(1, 'ipv6-unicast'), isBoth(2), isBoth(65), isBoth(64)],
      [
        both('ipv4-unicast'),
        both('ipv6-unicast'),
        both('route-refresh'),
        both('4-octet-as'),
        both('graceful-restart'),
      ],
    );
    assert.equal(compared(view, 64)?.received?.parameters['restartTimeSec'], 77);
    const fqdn = /fqdn:\s+advertised\s+Local:\s+name: (\S+), domain:/.exec(text)?.[1];
    assert.equal(compared(view, 73)?.received?.text, fqdn);
    // What it calls advertised depends on its version and on graceful restart; what it has of ours does not.
    const [, received, accepted] = /Received: +(\d+)\s+Accepted: +(\d+)/.exec(text)?.map(Number) ?? [];
    const sent = view.families.ipv4.advertised + view.families.ipv6.advertised;
    assert.deepEqual([sent, sent], [received, accepted]);
  });
});

/** Every optional feature of the speaker against FRR, BIRD, GoBGP, ExaBGP and ourselves. */
import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.ts';
import {
  Bench,
  HELPER,
  HELPER_AS,
  HOLD_SEC,
  OUR_AS,
  OURS,
  THEIR_AS,
  THEIRS,
  WAIT,
  withEach,
} from '../support/matrix-bench.ts';
import { KINDS, seen } from '../support/matrix-table.ts';
import { removeAllNetns } from '../support/netns.ts';
import { roundTrip } from '../support/round-trip.ts';
import type { ChildPeer } from '../support/speaker-process.ts';

const benches: Bench[] = [];

/** A bench that is taken down after the test. */
function makeBench(...args: ConstructorParameters<typeof Bench>): Bench {
  const bench = new Bench(...args);
  benches.push(bench);
  return bench;
}

describe('interoperability matrix', function () {
  this.timeout(90_000);

  afterEach(async () => {
    await Promise.all(benches.map((bench) => bench.end()));
    benches.length = 0;
    await removeAllNetns();
  });

  it('one session with all there is: capabilities, MD5, communities, refresh, several paths, long messages', async () => {
    await withEach(KINDS, async (kind) => {
      const bench = makeBench(kind, {
        password: 'one-key',
        restartTimeSec: 1,
        longLivedSec: 60,
        addPath: true,
        announce: [
          {
            prefix: '10.2.0.0/16',
            communities: ['65002:7'],
            largeCommunities: ['200002:1:2'],
          },
          { prefix: '10.22.0.0/16', communities: ['65535:0'] },
          { prefix: '2001:db8:2::/48' },
        ],
      });
      const helperPeer: ChildPeer = {
        address: HELPER,
        localAs: OUR_AS,
        peerAs: HELPER_AS,
        ttl: 64,
        holdTimeSec: HOLD_SEC,
      };
      const mainPeer = bench.childPeer({
        restartTimeSec: 60,
        extra: {
          password: 'one-key',
          gracefulRestart: { restartTimeSec: 60, maxHelperTimeSec: 60, notification: true },
          longLivedGracefulRestart: { staleTimeSec: 60, maxHelperTimeSec: 60 },
          enhancedRouteRefresh: true,
          extendedMessages: true,
          addPath: { send: ['ipv4', 'ipv6'], receive: ['ipv4', 'ipv6'] },
        },
      });
      await bench.start(
        {},
        { peers: [mainPeer, helperPeer], identity: { host: 'node1', softwareVersion: 'ocicat' } },
      );
      seen(kind, 'TCP MD5 over IPv4 (RFC 2385)');
      const [route] = await bench.weHave('10.2.0.0/16');
      assert.deepEqual(route?.asPath, [THEIR_AS]);
      assert.ok(route?.communities.includes(((65002 << 16) | 7) >>> 0));
      assert.deepEqual(route?.largeCommunities, ['200002:1:2']);
      await bench.weHave('2001:db8:2::/48');
      const [ours] = await bench.theyHave('10.1.0.0/16');
      assert.deepEqual(ours?.asPath, [OUR_AS]);
      await bench.theyHave('2001:db8:1::/48');
      seen(kind, 'both families in one session, 4-octet AS, large communities');

      const [leaving] = await bench.weHave('10.22.0.0/16');
      assert.equal(leaving?.localPref, 0);
      seen(kind, 'graceful shutdown, received (RFC 8326)');

      for (const [capability, feature] of [
        ['Graceful Restart', 'graceful restart offered (RFC 4724)'],
        ['Long-Lived', 'long-lived graceful restart offered (RFC 9494)'],
      ] as const) {
        if (await bench.offers(capability)) seen(kind, feature);
      }

      await bench.startHelper(HELPER_AS, ['10.1.0.0/16']);
      if (await bench.offers('ADD-PATH')) {
        const [withId] = await bench.weHave('10.2.0.0/16');
        assert.ok(withId?.pathId !== undefined, 'the path has an identifier');
        seen(kind, 'ADD-PATH, received (RFC 7911)');
        const two = await bench.theyHave('10.1.0.0/16', 2);
        assert.deepEqual(two.map(({ asPath }) => asPath.join(' ')).sort(), [
          `${OUR_AS}`,
          `${OUR_AS} ${HELPER_AS}`,
        ]);
        seen(kind, 'ADD-PATH, sent (RFC 7911)');
      }

      // ExaBGP 4 resets the session when it is asked for a refresh.
      if (kind !== 'exabgp') {
        await bench.speaker.request({ method: 'reset', peer: bench.peer, kind: 'soft-in' });
      }
      // ExaBGP 4 offers it and marks nothing.
      if (kind !== 'exabgp' && (await bench.offers('Enhanced Route Refresh'))) {
        for (const phase of ['begin', 'end']) {
          await bench.event(
            `refresh ${phase}`,
            (event) => event['type'] === 'refresh' && event['phase'] === phase,
          );
        }
        seen(kind, 'enhanced route refresh, asked for (RFC 7313)');
      }
      await bench.weHave('10.2.0.0/16');
      if (bench.router.refresh !== undefined) {
        const { updatesSent } = (await bench.speaker.peer(bench.peer)).counters;
        await bench.router.refresh();
        await eventually(
          'we send again',
          async () => (await bench.speaker.peer(bench.peer)).counters.updatesSent > updatesSent,
          WAIT,
        );
        await bench.theyHave('10.1.0.0/16');
        seen(
          kind,
          (await bench.offers('Enhanced Route Refresh'))
            ? 'enhanced route refresh, answered (RFC 7313)'
            : 'route refresh, both ways (RFC 2918)',
        );
      }

      const many = Array.from({ length: 6000 }, (_, i) => `10.${64 + (i >> 8)}.${i & 255}.0/24`);
      await bench.speaker.request({ method: 'originate-with', prefixes: many });
      await eventually(
        `${kind}: they have all of ${many.length}`,
        async () => (await bench.router.count()) >= many.length,
        WAIT,
      );
      if (await bench.offers('Extended Message')) {
        // New routes go out as they are decided, on a slow machine few in a message; what stands already fills longer ones.
        await bench.speaker.request({ method: 'reset', peer: bench.peer, kind: 'soft-out' });
        await eventually(
          `${kind}: a message of more than 4096 octets`,
          async () => (await bench.speaker.longestSent(bench.peer)) > 4096,
          WAIT,
        );
        await bench.theyHave('10.1.0.0/16');
        seen(kind, 'extended messages (RFC 8654)');
      }

      await bench.speaker.request({ method: 'draining', on: true });
      await eventually(
        `${kind}: they see 65535:0`,
        async () => {
          const paths = await bench.router.paths('10.1.0.0/16');
          return paths.length > 0 && paths.every(({ communities }) => communities.includes('65535:0'));
        },
        WAIT,
      );
      seen(kind, 'graceful shutdown, sent (RFC 8326)');

      const { messages, exact, canonical } = roundTrip(await bench.speaker.messages(bench.peer), {
        peerAs: THEIR_AS,
        addPath: await bench.offers('ADD-PATH'),
        extendedMessage: await bench.offers('Extended Message'),
      });
      assert.ok(messages > 4);
      seen(kind, 'codec round trip of what it sent: octet by octet/canonical', `${exact}/${canonical}`);

      const drops = bench.speaker.events.filter(
        (event) => event['type'] === 'session-down' && event['peer'] === bench.peer,
      );
      assert.deepEqual(drops, [], 'all in one session');

      const { capabilitiesReceived } = await bench.speaker.peer(bench.peer);
      await bench.speaker.request({ method: 'reset', peer: bench.peer, kind: 'hard' });
      const toldOf = (code: string) => (event: Readonly<Record<string, unknown>>) =>
        event['type'] === 'notification' && event['direction'] === 'sent' && event['code'] === code;
      const isGraceful = capabilitiesReceived.some((name) => /^Graceful.*notification/.test(name));
      await bench.event('the reset is told', toldOf(isGraceful ? '6/9' : '6/4'));
      if (isGraceful) seen(kind, 'N bit, hard reset sent (RFC 8538)');
      await bench.up();

      if (await bench.offers('Long-Lived')) {
        await bench.weHave('10.2.0.0/16');
        await bench.router.kill();
        await bench.event('routes are long-lived stale', (event) => event['type'] === 'long-lived-stale');
        await eventually(
          'LLGR_STALE',
          async () =>
            (await bench.speaker.details('10.2.0.0/16')).some(({ communities }) =>
              communities.includes(0xffff0006),
            ),
          WAIT,
        );
        seen(kind, 'long-lived graceful restart, as helper (RFC 9494)');
      }
    });
  });

  it('we are the one that restarts: long-lived graceful restart (RFC 9494); a hard reset takes our routes, 6/6 does not (RFC 8538)', async () => {
    await withEach(['frr', 'bird', 'gobgp', 'ourselves'], async (kind) => {
      const bench = makeBench(kind, { restartTimeSec: 60, longLivedSec: 60 });
      const peer: Partial<ChildPeer> = {
        extra: {
          gracefulRestart: { restartTimeSec: 1, maxHelperTimeSec: 60, notification: true },
          longLivedGracefulRestart: { staleTimeSec: 600, maxHelperTimeSec: 60 },
        },
      };
      await bench.start(peer);
      await bench.theyHave('10.1.0.0/16');
      await bench.theyHave('2001:db8:1::/48');
      const marked = (is: boolean): Promise<unknown> =>
        eventually(
          `${kind}: our routes are ${is ? '' : 'not '}long-lived stale there`,
          async () => {
            const [four] = await bench.router.paths('10.1.0.0/16');
            const [six] = await bench.router.paths('2001:db8:1::/48');
            return [four, six].every((path) => path?.communities.includes('65535:6') === is);
          },
          WAIT,
        );
      await bench.speaker.kill();
      await marked(true);
      await bench.startSpeaker(peer, { preserved: true });
      await bench.up();
      await marked(false);
      seen(kind, 'long-lived graceful restart, restarting (RFC 9494)');

      // BIRD has no N bit.
      if (kind === 'bird') return;
      const notified = (code: string) =>
        bench.event(code, (event) => event['type'] === 'notification' && event['code'] === code);
      await bench.speaker.request({ method: 'disable', peer: bench.peer, text: 'for a moment' });
      await notified('6/9');
      await eventually(
        `${kind}: nothing is kept over a hard reset`,
        // GoBGP has no table to show of a peer that is down, unless it keeps it.
        async () => (await bench.router.paths('10.1.0.0/16').catch(() => [])).length === 0,
        WAIT,
      );
      await bench.speaker.request({ method: 'enable', peer: bench.peer });
      await bench.up();
      await bench.theyHave('10.1.0.0/16');
      // Another AS number for it than it has: the session ends with 6/6 and cannot come back.
      await bench.speaker.request({
        method: 'setPeers',
        peers: [bench.childPeer({ ...peer, peerAs: THEIR_AS + 1 })],
      });
      await notified('6/6');
      await eventually(`${kind}: down there`, async () => !(await bench.router.isUp()), WAIT);
      assert.equal((await bench.router.paths('10.1.0.0/16')).length, 1, 'kept over 6/6');
      seen(kind, 'graceful restart over NOTIFICATIONs, hard reset (RFC 8538)');
    });
  });

  it('BFD strict mode: with a peer that has it BGP waits for BFD, with any other it does not', async () => {
    const bfd = { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: false, strict: true };
    await withEach(['frr', 'bird', 'gobgp', 'exabgp', 'ourselves'], async (kind) => {
      const bench = makeBench(kind, { bfdStrict: true });
      await bench.start({ extra: { bfd } });
      const events = bench.speaker.events.filter(({ type }) => type === 'bfd' || type === 'session-up');
      const isWaiting = kind === 'ourselves';
      assert.equal(events[0]?.['type'], isWaiting ? 'bfd' : 'session-up');
      seen(kind, 'BFD strict mode (capability 74)', isWaiting ? 'yes' : 'without');
    });
  });

  it('TCP MD5 over IPv6: the right key, another key, the key changed under the session', async () => {
    await withEach(['frr', 'bird', 'ourselves'], async (kind) => {
      const bench = makeBench(kind, {
        local: THEIRS.ipv6,
        neighbour: OURS.ipv6,
        password: 'first',
        holdTimeSec: 6,
      });
      await bench.start({ extra: { password: 'wrong' } }, {}, false);
      await eventually(`${kind}: the kernel refuses the key`, () => bench.md5Failures() > 0, WAIT);
      assert.notEqual((await bench.speaker.peer(bench.peer)).state, 'Established');
      const use = (password: string): Promise<unknown> =>
        bench.speaker.request({ method: 'setPeers', peers: [bench.childPeer({ extra: { password } })] });
      await use('first');
      await bench.up();
      seen(kind, 'TCP MD5 over IPv6');
      await use('wrong');
      await bench.down();
      await use('first');
      await bench.up();
      seen(kind, 'TCP MD5 key changed live');
    });
  });

  it('IPv4 routes with IPv6 next hops (RFC 8950)', async () => {
    await withEach(['frr', 'bird', 'exabgp', 'ourselves'], async (kind) => {
      const bench = makeBench(kind, { local: THEIRS.ipv6, neighbour: OURS.ipv6, extendedNextHop: true });
      await bench.start({ extra: { extendedNextHop: true } });
      const [ours] = await bench.theyHave('10.1.0.0/16');
      assert.match(ours?.nextHop ?? '', /:/);
      seen(kind, 'IPv4 over IPv6 next hop, sent (RFC 8950)');
      const [theirs] = await bench.weHave('10.2.0.0/16');
      assert.match(theirs?.nextHop ?? '', /:/);
      seen(kind, 'IPv4 over IPv6 next hop, received (RFC 8950)');
    });
  });

  it('a session on link-local addresses, the scope kept (unnumbered)', async () => {
    await withEach(['frr', 'bird', 'ourselves'], async (kind) => {
      const bench = makeBench(kind, { interface: 'eth0', extendedNextHop: true });
      await bench.start({ extra: { interface: 'eth0', extendedNextHop: true, acceptedAs: 'external' } });
      const [four] = await bench.weHave('10.2.0.0/16');
      const [six] = await bench.weHave('2001:db8:2::/48');
      assert.deepEqual([four?.nextHop, six?.nextHop], [`${bench.far}%eth0`, `${bench.far}%eth0`]);
      await bench.theyHave('10.1.0.0/16');
      await bench.theyHave('2001:db8:1::/48');
      seen(kind, 'unnumbered: link-local session and next hops');
    });
  });

  it('route reflection between clients (RFC 4456)', async () => {
    await withEach(KINDS, async (kind) => {
      const bench = makeBench(kind, { as: OUR_AS });
      const clients = ['client', 'helper'].map(
        (who): ChildPeer => ({
          ...bench.childPeer({ exportAll: true, ttl: 64 }),
          ...(who === 'helper' && { address: HELPER, holdTimeSec: HOLD_SEC }),
          extra: { routeReflectorClient: true },
        }),
      );
      await bench.start({}, { peers: clients });
      const helper = await bench.startHelper(OUR_AS, ['10.3.0.0/16']);
      const [reflected] = await eventually(
        `${kind}: the other client has its route`,
        async () => {
          const found = await helper.details('10.2.0.0/16');
          return found.length > 0 ? found : undefined;
        },
        WAIT,
      );
      assert.deepEqual(
        [reflected?.originatorId, reflected?.clusterList, reflected?.nextHop],
        [0xc0000202, [0xc0000201], THEIRS.ipv4],
      );
      const [theirs] = await bench.theyHave('10.3.0.0/16');
      assert.equal(theirs?.nextHop, HELPER, 'the next hop is left alone');
      seen(kind, 'route reflection, clients (RFC 4456)');
    });
  });

  it('local AS, AS override, private numbers (RFC 7705)', async () => {
    await withEach(KINDS, async (kind) => {
      const bench = makeBench(kind, { neighbourAs: 65010 });
      const peerWith = (extra: ChildPeer['extra']): ChildPeer =>
        bench.childPeer({ localAs: 65010, ...(extra && { extra }) });
      await bench.start({}, { peers: [peerWith({})] });
      await bench.speaker.request({
        method: 'originate-with',
        prefixes: ['10.9.0.0/16'],
        asPath: [64999, THEIR_AS, 3356],
      });
      const pathIs = (prefix: string, path: readonly number[]): Promise<unknown> =>
        eventually(
          `${kind}: ${prefix} has the path ${path.join(' ')}`,
          async () => (await bench.router.paths(prefix))[0]?.asPath.join() === path.join(),
          WAIT,
        );
      await pathIs('10.1.0.0/16', [65010, OUR_AS]);
      const [received] = await bench.weHave('10.2.0.0/16');
      assert.deepEqual(received?.asPath, [65010, THEIR_AS]);
      await bench.speaker.request({
        method: 'setPeers',
        peers: [
          peerWith({
            localAsOptions: { noPrepend: true, replaceAs: true },
            asOverride: true,
            removePrivateAs: 'remove',
          }),
        ],
      });
      await pathIs('10.1.0.0/16', [65010]);
      await pathIs('10.9.0.0/16', [65010, 65010, 3356]);
      const [plain] = await eventually(
        'without our AS in front',
        async () => {
          const found = await bench.speaker.details('10.2.0.0/16');
          return found[0]?.asPath.length === 1 ? found : undefined;
        },
        WAIT,
      );
      assert.deepEqual(plain?.asPath, [THEIR_AS]);
      assert.equal((await bench.speaker.peer(bench.peer)).counters.droppedCount, 0, 'all of it live');
      seen(kind, 'local AS, AS override, remove private AS (RFC 7705)');
    });
  });

  it('a peer that comes by itself, with a limit on its prefixes', async () => {
    await withEach(KINDS, async (kind) => {
      const bench = makeBench(kind, {
        announce: [{ prefix: '10.2.0.0/16' }, { prefix: '10.22.0.0/16' }, { prefix: '10.23.0.0/16' }],
      });
      const dynamic = (limit: number) => ({
        prefix: '192.0.2.0/24',
        limit: 2,
        template: {
          localAs: OUR_AS,
          peerAs: 1,
          holdTimeSec: HOLD_SEC,
          extra: {
            acceptedAs: 'external' as const,
            maxPrefixes: {
              ipv4: {
                limit,
                count: 'received' as const,
                warnPercent: 75,
                action: { kind: 'stop' as const, restartSec: 60 },
              },
            },
          },
        },
      });
      await bench.start({}, { peers: [], dynamic: [dynamic(2)] }, false);
      await bench.event('6/1', (event) => event['type'] === 'notification' && event['code'] === '6/1');
      assert.ok(bench.speaker.events.some((event) => event['type'] === 'prefix-limit'));
      seen(kind, 'maximum of prefixes (RFC 4486)');
      seen(kind, 'dynamic peer by prefix');
      if (kind !== 'ourselves') {
        const log = await eventually(
          'the router says so',
          async () => {
            const text = await bench.router.log();
            return /max|prefix|6\/1|06 ?01/i.test(text) ? text : undefined;
          },
          WAIT,
        );
        assert.ok(log.length > 0);
      }
    });
  });

  it('roles (RFC 9234)', async () => {
    await withEach(['frr', 'bird', 'ourselves'], async (kind) => {
      const bench = makeBench(kind, { role: 'provider' });
      await bench.start({ extra: { role: { local: 'customer', strict: true } } });
      const [route] = await bench.weHave('10.2.0.0/16');
      assert.equal(route?.onlyToCustomer, THEIR_AS);
      await bench.theyHave('10.1.0.0/16');
      seen(kind, 'roles and Only-to-Customer (RFC 9234)');
      await bench.speaker.request({
        method: 'setPeers',
        peers: [bench.childPeer({ extra: { role: { local: 'peer', strict: true } } })],
      });
      await bench.event('2/11', (event) => event['type'] === 'notification' && event['code'] === '2/11');
      seen(kind, 'role mismatch 2/11');
    });
  });
});

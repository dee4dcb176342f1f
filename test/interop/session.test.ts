/** Our speaker against Debian's FRR and BIRD, each side in a network namespace of its own. */
import assert from 'node:assert/strict';
import type { Family } from '../../src/net/address.ts';
import { eventually } from '../support/eventually.ts';
import { seen } from '../support/matrix-table.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import {
  createRouter,
  HOLD_SEC,
  type Router,
  type RouterConfig,
  type RouterKind,
} from '../support/routers.ts';
import { type ChildPeer, type ChildSpeakerOptions, SpeakerProcess } from '../support/speaker-process.ts';

const OURS = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const;
const THEIRS = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' } as const;
const OUR_ROUTES = ['10.1.0.0/16', '2001:db8:1::/48'] as const;
const THEIR_ROUTES = ['10.2.0.0/16', '2001:db8:2::/48'] as const;
const WAIT = { timeoutMs: 25_000, intervalMs: 50 };

/** The two sides of one test. */
class Pair {
  readonly router: Router;
  readonly peer: string;
  speaker: SpeakerProcess | undefined;
  readonly #ours: Netns;
  readonly #transport: Family;

  constructor(kind: RouterKind, change: Partial<RouterConfig> = {}, transport: Family = 'ipv4') {
    this.#transport = transport;
    this.#ours = createNetns();
    const theirs = createNetns();
    // FRR ends every IPv6 session that comes up while its link-local address is tentative, and each end lengthens our IdleHold.
    for (const netns of [this.#ours, theirs]) netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
    connect(
      { netns: this.#ours, name: 'eth0', addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
      { netns: theirs, name: 'eth0', addresses: ['192.0.2.2/24', '2001:db8::2/64'] },
    );
    this.peer = THEIRS[transport];
    this.router = createRouter(kind, theirs, {
      routerId: '192.0.2.2',
      as: 65002,
      local: this.peer,
      neighbour: OURS[transport],
      neighbourAs: 65001,
      announce: THEIR_ROUTES,
      ...change,
    });
    pairs.push(this);
  }

  async startSpeaker(
    peer: Partial<ChildPeer> = {},
    options: Partial<ChildSpeakerOptions> = {},
  ): Promise<SpeakerProcess> {
    const speaker = await SpeakerProcess.start(this.#ours, {
      routerId: 0xc0000201,
      localAs: 65001,
      listenPort: 179,
      preserved: false,
      peers: [
        {
          address: THEIRS[this.#transport],
          localAs: 65001,
          peerAs: 65002,
          holdTimeSec: HOLD_SEC,
          ...peer,
        },
      ],
      originate: OUR_ROUTES,
      ...options,
    });
    this.speaker = speaker;
    return speaker;
  }

  /** Our side's view of the session. */
  async state(): Promise<string> {
    return (await this.speaker?.peer(this.peer))?.state ?? 'none';
  }

  async established(): Promise<void> {
    await eventually('established', async () => (await this.state()) === 'Established', WAIT);
    await eventually('established there', async () => (await this.router.state()) === 'Established', WAIT);
  }

  /** Waits until we have exactly these routes from the router. */
  async weLearn(prefixes: readonly string[]): Promise<void> {
    const wanted = [...prefixes].sort().join();
    await eventually(
      `we have ${wanted}`,
      async () => {
        const routes = (await this.speaker?.routes()) ?? [];
        return (
          routes
            .map(({ prefix }) => prefix)
            .sort()
            .join() === wanted
        );
      },
      WAIT,
    );
  }

  /** Prefixes that the router has from us. */
  async theirPrefixes(): Promise<string> {
    const routes = [...(await this.router.routes('ipv4')), ...(await this.router.routes('ipv6'))];
    return routes
      .map(({ prefix }) => prefix)
      .sort()
      .join();
  }

  async theyLearn(prefixes: readonly string[]): Promise<void> {
    const wanted = [...prefixes].sort().join();
    await eventually(`they have ${wanted}`, async () => (await this.theirPrefixes()) === wanted, WAIT);
  }

  /** Both up, and every route on both sides. */
  async converged(): Promise<void> {
    await this.established();
    await this.weLearn(THEIR_ROUTES);
    await this.theyLearn(OUR_ROUTES);
  }

  /** Packets that our kernel dropped for their TTL. */
  minTtlDrops(): number {
    const [names, values] = this.#ours
      .run('cat', '/proc/net/netstat')
      .split('\n')
      .map((line) => line.split(' '));
    const column = names?.indexOf('TCPMinTTLDrop') ?? -1;
    return Number(values?.[column] ?? 0);
  }

  /** Waits for an event of our speaker. */
  async event(what: string, matches: (event: Readonly<Record<string, unknown>>) => boolean): Promise<void> {
    await eventually(what, () => this.speaker?.events.some(matches), WAIT);
  }
}

const pairs: Pair[] = [];

for (const kind of ['frr', 'bird'] as const) {
  describe(`interoperability with ${kind === 'frr' ? 'FRR' : 'BIRD'}`, function () {
    this.timeout(60_000);

    afterEach(async () => {
      for (const { speaker, router } of pairs) {
        await speaker?.kill();
        router.thaw();
        await router.kill();
        router.dispose();
      }
      pairs.length = 0;
      await removeAllNetns();
    });

    for (const transport of ['ipv4', 'ipv6'] as const) {
      it(`over ${transport}: both dial, routes of both families pass, change and go`, async () => {
        const pair = new Pair(kind, {}, transport);
        const [speaker] = await Promise.all([pair.startSpeaker(), pair.router.start()]);
        await pair.converged();
        const routes = await speaker.routes();
        assert.deepEqual(
          routes.map(({ prefix, nextHop, asPath }) => ({ prefix, nextHop, asPath })),
          [
            { prefix: THEIR_ROUTES[0], nextHop: THEIRS.ipv4, asPath: [65002] },
            { prefix: THEIR_ROUTES[1], nextHop: THEIRS.ipv6, asPath: [65002] },
          ],
        );
        const [theirs4] = await pair.router.routes('ipv4');
        assert.deepEqual([theirs4?.nextHop, theirs4?.asPath], [OURS.ipv4, [65001]]);
        const [theirs6] = await pair.router.routes('ipv6');
        assert.deepEqual([theirs6?.nextHop, theirs6?.asPath], [OURS.ipv6, [65001]]);

        await pair.router.announce(['10.2.0.0/16', '10.22.0.0/24', '2001:db8:22::/64']);
        await pair.weLearn(['10.2.0.0/16', '10.22.0.0/24', '2001:db8:22::/64']);
        await speaker.request({ method: 'originate', prefix: '10.11.0.0/24' });
        await speaker.request({ method: 'withdraw', prefix: OUR_ROUTES[1] });
        await pair.theyLearn(['10.1.0.0/16', '10.11.0.0/24']);
        seen(kind, 'a session over IPv4, over IPv6, both sides dialling');
      });
    }

    it('one side passive, then the other', async () => {
      const waiting = new Pair(kind);
      await Promise.all([waiting.startSpeaker({ passive: true }), waiting.router.start()]);
      await waiting.established();
      const dialling = new Pair(kind, { passive: true });
      await Promise.all([dialling.startSpeaker(), dialling.router.start()]);
      await dialling.established();
      seen(kind, 'one side passive, then the other');
    });

    it('route refresh both ways', async () => {
      const pair = new Pair(kind);
      const [speaker] = await Promise.all([pair.startSpeaker(), pair.router.start()]);
      await pair.converged();
      const before = (await speaker.peer(pair.peer)).counters;
      await speaker.request({ method: 'reset', peer: pair.peer, kind: 'soft-in' });
      await eventually(
        'the router sends again',
        async () => (await speaker.peer(pair.peer)).counters.updatesReceived >= before.updatesReceived + 2,
        WAIT,
      );
      const sent = (await speaker.peer(pair.peer)).counters.updatesSent;
      await pair.router.refresh('ipv4');
      await eventually(
        'we send again',
        async () => (await speaker.peer(pair.peer)).counters.updatesSent > sent,
        WAIT,
      );
      assert.equal((await speaker.peer(pair.peer)).counters.droppedCount, 0);
      seen(kind, 'route refresh, both ways (RFC 2918)');
    });

    it('the hold timer ends the session when the router is frozen, and it comes back', async () => {
      const pair = new Pair(kind, { holdTimeSec: 3 });
      const [speaker] = await Promise.all([pair.startSpeaker(), pair.router.start()]);
      await pair.converged();
      pair.router.freeze();
      await pair.event('4/0 sent', (event) => event['type'] === 'notification' && event['code'] === '4/0');
      await pair.weLearn([]);
      assert.match((await speaker.peer(pair.peer)).lastReset ?? '', /Hold Timer Expired/);
      pair.router.thaw();
      await pair.converged();
      seen(kind, 'peer frozen: hold timer, 4/0');
    });

    it('the router is killed: its routes go, and come back with it', async () => {
      const pair = new Pair(kind);
      await Promise.all([pair.startSpeaker({ restartTimeSec: 60 }), pair.router.start()]);
      await pair.converged();
      await pair.router.kill();
      await pair.weLearn([]);
      await pair.router.start();
      await pair.converged();
      seen(kind, 'peer killed: its routes go, and come back');
    });

    it('a wrong AS is told with 2/2 and the session does not come up', async () => {
      const pair = new Pair(kind);
      await Promise.all([pair.startSpeaker({ peerAs: 65009 }), pair.router.start()]);
      await pair.event('2/2', (event) => event['type'] === 'notification' && event['code'] === '2/2');
      assert.notEqual(await pair.state(), 'Established');
      seen(kind, 'wrong AS: 2/2');
    });

    it('shutdown with a text, seen by the other side, both ways (RFC 9003)', async () => {
      const pair = new Pair(kind);
      const [speaker] = await Promise.all([pair.startSpeaker(), pair.router.start()]);
      await pair.converged();
      await speaker.request({ method: 'disable', peer: pair.peer, text: 'moving racks' });
      await eventually(
        'the router has our text',
        async () => (await pair.router.lastError()).includes('moving racks'),
        WAIT,
      );
      assert.equal(await pair.state(), 'Idle(Admin)');
      await pair.theyLearn([]);
      await speaker.request({ method: 'enable', peer: pair.peer });
      await pair.converged();
      await pair.router.shutdown('new firmware');
      await pair.event(
        '6/2 received',
        (event) =>
          event['type'] === 'notification' && event['code'] === '6/2' && event['direction'] === 'received',
      );
      await eventually(
        'we have its text',
        async () =>
          ((await speaker.peer(pair.peer)).lastReset ?? '').includes('new firmware') ||
          speaker.events.some(({ text }) => typeof text === 'string' && text.includes('new firmware')),
      );
      await pair.weLearn([]);
      seen(kind, 'shutdown communication, both ways (RFC 9003)');
    });

    it('graceful restart, we are the helper: routes stay while the router restarts, leftovers go at its End-of-RIB', async () => {
      const pair = new Pair(kind, { gracefulRestart: true, announce: [...THEIR_ROUTES, '10.33.0.0/24'] });
      const [speaker] = await Promise.all([pair.startSpeaker({ restartTimeSec: 60 }), pair.router.start()]);
      await pair.established();
      await pair.weLearn([...THEIR_ROUTES, '10.33.0.0/24']);
      await pair.theyLearn(OUR_ROUTES);
      await pair.router.kill();
      await eventually('the session is gone', async () => (await pair.state()) !== 'Established', WAIT);
      const kept = await speaker.routes();
      assert.deepEqual(
        kept.map(({ stale }) => stale),
        [true, true, true],
      );
      assert.ok((await speaker.peer(pair.peer)).helperUntil);
      await pair.router.start(THEIR_ROUTES);
      await pair.established();
      await eventually(
        'nothing is stale any more',
        async () => (await speaker.routes()).every(({ stale }) => !stale),
        WAIT,
      );
      await pair.weLearn(THEIR_ROUTES);
      seen(kind, 'graceful restart, as helper (RFC 4724)');
    });

    it('graceful restart, we restart after SIGKILL: the router keeps our routes all the while', async () => {
      const pair = new Pair(kind, { gracefulRestart: true });
      const first = await pair.startSpeaker({ restartTimeSec: 60 });
      await pair.router.start();
      await pair.converged();
      await first.kill();
      await eventually('the router noticed', async () => (await pair.router.state()) !== 'Established', WAIT);
      assert.equal(await pair.theirPrefixes(), [...OUR_ROUTES].sort().join(), 'kept');

      // One route less than before: it has to go with our End-of-RIB.
      const second = await pair.startSpeaker(
        { restartTimeSec: 60 },
        { preserved: true, originate: [OUR_ROUTES[0]] },
      );
      await pair.event(
        'deferral ended for IPv4',
        (event) => event['type'] === 'deferral-ended' && event['family'] === 'ipv4',
      );
      const ended = second.events.find((event) => event['type'] === 'deferral-ended');
      assert.equal(ended?.['why'], 'end-of-rib');
      await pair.established();
      await pair.weLearn(THEIR_ROUTES);
      await pair.theyLearn([OUR_ROUTES[0]]);
      seen(kind, 'graceful restart, restarting (RFC 4724)');
    });

    for (const transport of ['ipv4', 'ipv6'] as const) {
      it(`TTL security over ${transport}: comes up where both sides send 255, whoever dials`, async () => {
        const dialling = new Pair(kind, { ttlSecurity: true, passive: true }, transport);
        await Promise.all([dialling.startSpeaker({ ttl: 255, minTtl: 255 }), dialling.router.start()]);
        await dialling.established();
        const waiting = new Pair(kind, { ttlSecurity: true }, transport);
        await Promise.all([
          waiting.startSpeaker({ ttl: 255, minTtl: 255, passive: true }),
          waiting.router.start(),
        ]);
        await waiting.established();
      });
    }

    it('TTL security: packets with a lower TTL are dropped by the kernel, and no session comes up', async () => {
      const pair = new Pair(kind);
      await Promise.all([pair.startSpeaker({ ttl: 255, minTtl: 255 }), pair.router.start()]);
      await eventually('drops are counted', () => pair.minTtlDrops() > 0, WAIT);
      assert.notEqual(await pair.state(), 'Established');
      seen(kind, 'TTL security, whoever dials; a lower TTL is dropped (RFC 5082)');
    });
  });
}

/** BFD against FRR's bfdd and BIRD's, through a speaker whose BGP session depends on it; each side in a network namespace of its own. */
import assert from 'node:assert/strict';
import { encodeControlPacket } from '../../bgp/bfd/packet.ts';
import type { BfdStatus } from '../../bgp/bfd/types.ts';
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { eventually } from '../support/eventually.ts';
import { seen } from '../support/matrix-table.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { createRouter, type Router, type RouterKind } from '../support/routers.ts';
import { type ChildPeer, SpeakerProcess } from '../support/speaker-process.ts';

const OURS = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const;
const THEIRS = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' } as const;
const WAIT = { timeoutMs: 25_000, intervalMs: 50 };
const TIMERS = { minTxMs: 300, minRxMs: 300, multiplier: 3 } as const;
/** BGP's own timer is out of the way: what ends a session within seconds is BFD. */
const HOLD_SEC = 240;

let running: Pair[] = [];

class Pair {
  readonly router: Router;
  readonly theirNetns: Netns;
  readonly #transport: Family;
  readonly #multihop: boolean;
  readonly #ourNetns: Netns;
  #speaker: SpeakerProcess | undefined;

  constructor(kind: RouterKind, transport: Family, multihop = false) {
    this.#transport = transport;
    this.#multihop = multihop;
    this.#ourNetns = createNetns();
    this.theirNetns = createNetns();
    for (const netns of [this.#ourNetns, this.theirNetns]) {
      // FRR waits for its link-local address.
      for (const which of ['all', 'default']) netns.sysctl(`net/ipv6/conf/${which}/accept_dad`, 0);
    }
    connect(
      { netns: this.#ourNetns, name: 'eth0', addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
      { netns: this.theirNetns, name: 'eth0', addresses: ['192.0.2.2/24', '2001:db8::2/64'] },
    );
    this.router = createRouter(kind, this.theirNetns, {
      routerId: '192.0.2.2',
      as: 65002,
      local: THEIRS[transport],
      neighbour: OURS[transport],
      neighbourAs: 65001,
      holdTimeSec: HOLD_SEC,
      announce: ['10.2.0.0/16'],
      multihop,
      bfd: true,
    });
    running.push(this);
  }

  get speaker(): SpeakerProcess {
    assert.ok(this.#speaker);
    return this.#speaker;
  }

  peer(change: ChildPeer['extra'] = {}): ChildPeer {
    return {
      address: THEIRS[this.#transport],
      localAddress: OURS[this.#transport],
      localAs: 65001,
      peerAs: 65002,
      holdTimeSec: HOLD_SEC,
      ...(this.#multihop && { ttl: 64 }),
      extra: {
        bfd: { ...TIMERS, multihop: this.#multihop },
        ...(!this.#multihop && { interface: 'eth0' }),
        ...change,
      },
    };
  }

  /** Both sides started, BGP and BFD up on both. */
  async up(): Promise<void> {
    const [speaker] = await Promise.all([
      SpeakerProcess.start(this.#ourNetns, {
        routerId: 0xc0000201,
        localAs: 65001,
        listenPort: 179,
        preserved: false,
        peers: [this.peer()],
        originate: ['10.1.0.0/16'],
      }),
      this.router.start(),
    ]);
    this.#speaker = speaker;
    await this.isUp();
  }

  async isUp(): Promise<void> {
    await eventually(
      'BGP and BFD up',
      async () => (await this.bgp()) === 'Established' && (await this.bfd()).state === 'Up',
      WAIT,
    );
    await eventually(
      'BFD up there',
      async () => /"?[sS]tat(us|e)?"?.*\bup\b/i.test(await this.#theirBfd()),
      WAIT,
    );
  }

  async bgp(): Promise<string> {
    return (await this.speaker.peer(THEIRS[this.#transport])).state;
  }

  async bfd(): Promise<BfdStatus> {
    const { bfd } = await this.speaker.peer(THEIRS[this.#transport]);
    assert.ok(bfd, 'BFD is not there');
    return bfd;
  }

  async end(): Promise<void> {
    await this.#speaker?.kill();
    this.router.thaw();
    await this.router.kill();
    this.router.dispose();
  }

  async #theirBfd(): Promise<string> {
    return this.router.kind === 'frr'
      ? this.router.command('show bfd peers json')
      : (await this.router.command('show bfd sessions'))
          .replace(/^.*Since.*$/m, '')
          .replace(/(\bUp\b)/, 'State $1');
  }
}

describe('BFD between two of ours', function () {
  this.timeout(60_000);
  const speakers: SpeakerProcess[] = [];

  afterEach(async () => {
    for (const speaker of speakers.splice(0)) await speaker.kill();
    await removeAllNetns();
  });

  it('over link-local addresses; one that stops says so, and is no failure', async () => {
    const netns = [createNetns(), createNetns()] as const;
    for (const each of netns) {
      for (const which of ['all', 'default']) each.sysctl(`net/ipv6/conf/${which}/accept_dad`, 0);
    }
    // No other link-local address than the one given: the kernel would send from it.
    for (const each of netns) each.sysctl('net/ipv6/conf/default/addr_gen_mode', 1);
    connect(
      { netns: netns[0], name: 'eth0', addresses: ['fe80::1/64'] },
      { netns: netns[1], name: 'eth1', addresses: ['fe80::2/64'] },
    );
    const start = (index: 0 | 1, address: string, device: string): Promise<SpeakerProcess> =>
      SpeakerProcess.start(netns[index], {
        routerId: index + 1,
        localAs: 65001 + index,
        listenPort: 179,
        preserved: false,
        peers: [
          {
            address,
            localAs: 65001 + index,
            peerAs: 65002 - index,
            holdTimeSec: HOLD_SEC,
            extra: { interface: device, bfd: { ...TIMERS, multihop: false } },
          },
        ],
        originate: [],
      });
    const [one, two] = await Promise.all([start(0, 'fe80::2', 'eth0'), start(1, 'fe80::1', 'eth1')]);
    speakers.push(one, two);
    const bfd = async (speaker: SpeakerProcess, peer: string) => (await speaker.peer(peer)).bfd;
    await eventually('one is up', async () => (await bfd(one, 'fe80::2'))?.state === 'Up', WAIT);
    await eventually('two is up', async () => (await bfd(two, 'fe80::1'))?.state === 'Up', WAIT);
    await two.request({ method: 'stop', mode: 'keep-forwarding' });
    await eventually('one was told', async () => (await bfd(one, 'fe80::2'))?.state === 'Down', WAIT);
    assert.equal((await bfd(one, 'fe80::2'))?.lastDown?.diagnosticText, 'Neighbor Signaled Session Down');
    assert.ok(!one.events.some(({ code }) => code === '6/10'));
  });
});

for (const kind of ['frr', 'bird'] as const) {
  describe(`BFD with ${kind === 'frr' ? 'FRR' : 'BIRD'}`, function () {
    this.timeout(60_000);

    afterEach(async () => {
      await Promise.all(running.map((pair) => pair.end()));
      running = [];
      await removeAllNetns();
    });

    it('single hop: up as agreed, down with the frozen peer, which ends BGP with 6/10, up again; both families', async () => {
      await Promise.all(FAMILIES.map((transport) => failsAndComesBack(new Pair(kind, transport))));
      seen(kind, 'BFD down ends the session with 6/10 (RFC 9384)');
    });

    it('multihop, both families', async () => {
      await Promise.all(
        FAMILIES.map(async (transport) => {
          const pair = new Pair(kind, transport, true);
          await pair.up();
          const { multihop, remote, counters } = await pair.bfd();
          assert.equal(multihop, true);
          assert.equal(remote?.multiplier, 3);
          assert.ok(counters.packetsReceived > 0);
        }),
      );
      seen(kind, 'BFD, single hop and multihop (RFC 5881, RFC 5883)');
    });

    it('a main thread that is busy for 2 s loses no session; other timers are agreed upon without a flap; forged packets count for nothing', async () => {
      const pair = new Pair(kind, 'ipv4');
      await pair.up();
      await eventually('fast', async () => (await pair.bfd()).detectionTimeMs === 900, WAIT);
      await pair.speaker.request({ method: 'block', ms: 2_000 });
      assert.deepEqual([(await pair.bfd()).state, (await pair.bfd()).downCount], ['Up', 0]);
      await pair.isUp();

      await pair.speaker.request({
        method: 'setPeers',
        peers: [pair.peer({ bfd: { minTxMs: 500, minRxMs: 400, multiplier: 4, multihop: false } })],
      });
      await eventually(
        'the new timers',
        async () => {
          const { txIntervalMs, detectionTimeMs = 0 } = await pair.bfd();
          return txIntervalMs === 500 && detectionTimeMs >= 1200;
        },
        WAIT,
      );

      // An end of the session from the peer's own address, but from further away than one hop.
      const forged = encodeControlPacket({
        diagnostic: 0,
        state: 'AdminDown',
        poll: false,
        final: false,
        controlPlaneIndependent: false,
        demand: false,
        multiplier: 3,
        myDiscriminator: 1,
        yourDiscriminator: (await pair.bfd()).localDiscriminator,
        desiredMinTxUs: 300_000,
        requiredMinRxUs: 300_000,
        requiredMinEchoRxUs: 0,
      });
      const script = `const s = require('node:dgram').createSocket('udp4');
        s.bind(0, '192.0.2.2', () => { s.setTTL(254); s.send(Buffer.from('${Buffer.from(forged).toString('hex')}', 'hex'), 3784, '192.0.2.1', () => s.close()); });`;
      await pair.theirNetns.tryRunAsync(process.execPath, '-e', script);
      await eventually(
        'seen and dropped',
        async () => (await pair.bfd()).counters.packetsDiscarded >= 1,
        WAIT,
      );
      assert.deepEqual([(await pair.bfd()).state, (await pair.bfd()).downCount], ['Up', 0]);

      const threads = Number(await pair.speaker.request({ method: 'threads' }));
      const { bfd: _, ...without } = pair.peer().extra ?? {};
      await pair.speaker.request({ method: 'setPeers', peers: [{ ...pair.peer(), extra: without }] });
      await eventually(
        'the thread is gone',
        async () => Number(await pair.speaker.request({ method: 'threads' })) < threads,
        WAIT,
      );
    });
  });
}

async function failsAndComesBack(pair: Pair): Promise<void> {
  await pair.up();
  await eventually('the fast interval', async () => (await pair.bfd()).txIntervalMs === 300, WAIT);
  await eventually('the peer is fast too', async () => (await pair.bfd()).detectionTimeMs === 900, WAIT);
  const { upCount } = await pair.bfd();
  const seen = pair.speaker.events.length;
  pair.router.freezeBfd();
  await eventually(
    '6/10 sent',
    () =>
      pair.speaker.events
        .slice(seen)
        .some(
          ({ type, code, direction }) => type === 'notification' && code === '6/10' && direction === 'sent',
        ),
    WAIT,
  );
  assert.equal((await pair.bfd()).lastDown?.diagnosticText, 'Control Detection Time Expired');
  pair.router.thaw();
  await pair.isUp();
  assert.ok((await pair.bfd()).upCount > upCount);
}

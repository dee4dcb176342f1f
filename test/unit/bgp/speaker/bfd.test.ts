import assert from 'node:assert/strict';
import { DIAGNOSTIC } from '../../../../bgp/bfd/packet.ts';
import type { BfdSessionConfig, BfdStateChange, BfdStatus, BfdTimers } from '../../../../bgp/bfd/types.ts';
import type { BfdSessions } from '../../../../bgp/speaker/bfd-link.ts';
import { PeerConfigError } from '../../../../bgp/speaker/config.ts';
import { type Host, World } from './world.ts';

const BFD = { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: false } as const;

const STATUS: BfdStatus = {
  state: 'Up',
  since: 0,
  diagnostic: 0,
  diagnosticText: '',
  localDiscriminator: 1,
  multihop: false,
  upCount: 1,
  downCount: 0,
  counters: { packetsSent: 0, packetsReceived: 0, packetsDiscarded: 0, sendErrors: 0 },
};

/** Stands where the thread is: what was asked for, and changes of state when the test says so. */
class Watch implements BfdSessions {
  loads = 0;
  readonly log: string[] = [];
  state: BfdStatus['state'] = 'Up';
  #onState: ((change: BfdStateChange) => void) | undefined;

  readonly load = async (): Promise<BfdSessions> => {
    this.loads += 1;
    return this;
  };

  addSession(config: BfdSessionConfig, onState: (change: BfdStateChange) => void) {
    this.log.push(
      `add ${config.peer.bytes.join('.')} ${config.minTxMs} ${config.multihop ? 'multi' : 'single'}`,
    );
    this.#onState = onState;
    return {
      status: () => ({ ...STATUS, state: this.state }),
      update: (timers: BfdTimers) => void this.log.push(`update ${timers.minTxMs}`),
      remove: () => void this.log.push('remove'),
    };
  }

  async close(): Promise<void> {
    this.log.push('close');
  }

  change(change: Partial<BfdStateChange>): void {
    this.state = change.to ?? 'Down';
    this.#onState?.({ from: 'Up', to: 'Down', diagnostic: 1, remoteState: 'Up', at: 0, ...change });
  }
}

async function pair(
  restart: Parameters<World['host']>[1] = { graceful: false },
): Promise<{ world: World; one: Host; two: Host; watch: Watch }> {
  const world = new World();
  const watch = new Watch();
  const one = world.host(1, { ...restart, bfd: BFD }, { loadBfd: watch.load });
  const two = world.host(2, restart);
  one.speaker.start();
  two.speaker.start();
  // Loading takes turns of the real event loop.
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  world.clock.until('up', () => stateOf(one) === 'Established' && stateOf(two) === 'Established');
  return { world, one, two, watch };
}

function stateOf({ speaker, config }: Host): string | undefined {
  return speaker.peer(config.name)?.state;
}

describe('peers under BFD', () => {
  it('is not loaded when no peer asks for it', () => {
    const world = new World();
    const watch = new Watch();
    world.host(1, {}, { loadBfd: watch.load }).speaker.start();
    assert.equal(watch.loads, 0);
  });

  it('a session that goes down ends BGP with 6/10 at once, and BGP comes back', async () => {
    const { world, one, two, watch } = await pair();
    assert.equal(one.speaker.peer(one.config.name)?.bfd?.state, 'Up');
    watch.change({});
    assert.notEqual(stateOf(one), 'Established');
    const reset = one.speaker.peer(one.config.name)?.lastReset;
    assert.match(reset?.text ?? '', /BFD Down.*Control Detection Time Expired/);
    world.clock.until('two knows', () => stateOf(two) !== 'Established');
    const { error } = two.speaker.peer(two.config.name)?.lastReset ?? {};
    assert.deepEqual([error?.code, error?.subcode], [6, 10]);
    world.clock.until('back', () => stateOf(one) === 'Established');
    assert.ok(one.events.some((event) => event.type === 'bfd' && event.change.to === 'Down'));
  });

  it('so it does under graceful restart over NOTIFICATIONs, inside of a hard reset (RFC 9384 4)', async () => {
    const gracefulRestart = { restartTimeSec: 20, maxHelperTimeSec: 120, notification: true };
    const { world, one, two, watch } = await pair({ gracefulRestart });
    watch.change({});
    world.clock.until('two knows', () => stateOf(two) !== 'Established');
    for (const { speaker, config } of [one, two]) {
      const { error } = speaker.peer(config.name)?.lastReset ?? {};
      assert.deepEqual([error?.code, error?.subcode, ...(error?.data ?? [])], [6, 9, 6, 10]);
    }
    // The end of the trouble ends the wait too.
    watch.change({ from: 'Init', to: 'Up' });
    world.clock.until('back', () => stateOf(one) === 'Established');
  });

  it('in strict mode on both sides BGP waits for BFD, and ends with it', async () => {
    const world = new World();
    const watches = [new Watch(), new Watch()] as const;
    const strict = { graceful: false, bfd: { ...BFD, strict: true }, holdTimeSec: 30 };
    const one = world.host(1, strict, { loadBfd: watches[0].load });
    const two = world.host(2, strict, { loadBfd: watches[1].load });
    const hosts = [one, two];
    for (const watch of watches) watch.state = 'Down';
    for (const { speaker } of hosts) speaker.start();
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    world.clock.advance(10_000);
    assert.deepEqual(hosts.map(stateOf), ['OpenSent', 'OpenSent']);
    watches[0].change({ from: 'Init', to: 'Up' });
    world.clock.advance(5000);
    assert.deepEqual(hosts.map(stateOf), ['OpenConfirm', 'OpenSent']);
    watches[1].change({ from: 'Init', to: 'Up' });
    world.clock.until('both up', () => hosts.every((host) => stateOf(host) === 'Established'));
    watches[0].change({});
    assert.notEqual(stateOf(one), 'Established');
    // It does not come back without BFD, however long that takes: the wait ends with 6/10, over and over.
    world.clock.advance(100_000);
    assert.ok(hosts.every((host) => stateOf(host) !== 'Established'));
    watches[0].change({ from: 'Init', to: 'Up' });
    world.clock.until('both up again', () => hosts.every((host) => stateOf(host) === 'Established'));
  });

  it('BGP starts again with BFD, without waiting for IdleHold; but not when it was stopped for another reason', async () => {
    const { one, watch } = await pair();
    watch.change({});
    assert.equal(stateOf(one), 'Idle');
    watch.change({ from: 'Init', to: 'Up' });
    assert.equal(stateOf(one), 'Connect');
    one.speaker.disable(one.config.name);
    watch.change({ from: 'Init', to: 'Up' });
    assert.equal(stateOf(one), 'Idle(Admin)');
  });

  for (const [title, change] of [
    [
      'the peer ends BFD on purpose (RFC 5882 3.2)',
      { remoteState: 'AdminDown', diagnostic: DIAGNOSTIC.neighborSignaledSessionDown },
    ],
    ['it never was up', { from: 'Init' }],
    ['it comes up', { from: 'Init', to: 'Up' }],
    ['we end it', { to: 'AdminDown' }],
  ] as const satisfies readonly (readonly [string, Partial<BfdStateChange>])[]) {
    it(`BGP stays when ${title}`, async () => {
      const { one, watch } = await pair();
      watch.change(change);
      assert.equal(stateOf(one), 'Established');
    });
  }

  it('follows the configuration: timers under the session, another kind as another session, none; BGP is not reset', async () => {
    const { one, watch } = await pair();
    const { speaker, config } = one;
    speaker.setPeers([config]);
    speaker.setPeers([{ ...config, bfd: { ...BFD, minTxMs: 500 } }]);
    speaker.setPeers([{ ...config, bfd: { ...BFD, multihop: true } }]);
    const { bfd: _, ...without } = config;
    speaker.setPeers([without]);
    assert.deepEqual(watch.log, [
      'add 192.0.2.2 300 single',
      'update 500',
      'remove',
      'add 192.0.2.2 300 multi',
      'remove',
    ]);
    assert.equal(stateOf(one), 'Established');
    assert.equal(speaker.peer(config.name)?.bfd, undefined);
    speaker.setPeers([config]);
    speaker.setPeers([]);
    await speaker.stop({ mode: 'keep-forwarding' });
    assert.deepEqual(watch.log.slice(5), ['add 192.0.2.2 300 single', 'remove', 'close']);
  });

  it('refuses what cannot be', () => {
    const world = new World();
    const { speaker, config } = world.host(1);
    for (const wrong of [
      { minTxMs: 9 },
      { minRxMs: 60_001 },
      { multiplier: 0 },
      { multiplier: 256 },
      { minTtl: 0 },
    ]) {
      assert.throws(() => speaker.setPeers([{ ...config, bfd: { ...BFD, ...wrong } }]), PeerConfigError);
    }
  });
});

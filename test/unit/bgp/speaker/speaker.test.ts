import assert from 'node:assert/strict';
import { PeerConfigError } from '../../../../bgp/speaker/config.ts';
import type { SpeakerEvent } from '../../../../bgp/speaker/events.ts';
import { type Host, learned, peerConfig, prefix, stateOf, World } from './world.ts';

function up(world: World, ...hosts: readonly Host[]): void {
  for (const { speaker } of hosts) speaker.start();
  world.clock.until('both established', () => hosts.every((host) => stateOf(host) === 'Established'));
}

function of<T extends SpeakerEvent['type']>(host: Host, type: T): Extract<SpeakerEvent, { type: T }>[] {
  return host.events.filter((event): event is Extract<SpeakerEvent, { type: T }> => event.type === type);
}

describe('speaker: sessions', () => {
  it('both dial at once and one connection stays; routes of both families pass', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    a.speaker.originate(prefix('10.1.0.0/16'));
    b.speaker.originate(prefix('2001:db8:2::/48'));
    up(world, a, b);
    world.clock.until('routes', () => learned(a).length === 1 && learned(b).length === 1);
    assert.deepEqual(learned(a), ['2001:db8:2::/48']);
    assert.deepEqual(learned(b), ['10.1.0.0/16']);
    b.speaker.withdraw(prefix('2001:db8:2::/48'));
    world.clock.until('withdrawn', () => learned(a).length === 0);
    world.clock.advance(120_000);
    assert.equal(stateOf(a), 'Established');
    assert.equal(a.speaker.peer('peer')?.counters.establishedCount, 1);
    const status = a.speaker.peer('peer');
    assert.equal(status?.holdTimeSec, 9);
    assert.ok(status?.families.ipv4.endOfRibReceived && status.families.ipv6.endOfRibSent);
  });

  it('one side passive', () => {
    const world = new World();
    const [a, b] = [world.host(1, { passive: true }), world.host(2)];
    up(world, a, b);
  });

  it('the hold timer ends a session over a network that went silent; 4/0 is told', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    up(world, a, b);
    world.internet.cut();
    world.clock.until(
      'hold timer',
      () => stateOf(a) !== 'Established' && stateOf(b) !== 'Established',
      10_000,
    );
    assert.equal(of(a, 'notification').at(-1)?.error.code, 4);
    assert.match(a.speaker.peer('peer')?.lastReset?.text ?? '', /Hold Timer Expired/);
    world.internet.heal();
    world.clock.until('back', () => stateOf(a) === 'Established' && stateOf(b) === 'Established', 60_000);
  });

  it('a wrong AS gets 2/2, and the retries get rarer', () => {
    const world = new World();
    const [a, b] = [world.host(1, { peerAs: 65009 }), world.host(2)];
    a.speaker.start();
    b.speaker.start();
    world.clock.advance(300_000);
    const sent = of(a, 'notification').filter(({ direction }) => direction === 'sent');
    assert.ok(sent.some(({ error }) => error.code === 2 && error.subcode === 2));
    assert.ok(sent.length < 30, `${sent.length} NOTIFICATIONs in five minutes`);
    assert.notEqual(stateOf(a), 'Established');
  });

  it('disable sends 6/2 with the text and stays down; enable brings it back', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    up(world, a, b);
    a.speaker.disable('peer', 'rack move');
    assert.equal(stateOf(a), 'Idle(Admin)');
    world.clock.until('told', () => stateOf(b) !== 'Established');
    assert.match(of(b, 'notification').at(-1)?.text ?? '', /6\/2.*rack move/);
    world.clock.advance(100_000);
    assert.notEqual(stateOf(b), 'Established');
    a.speaker.enable('peer');
    world.clock.until('back', () => stateOf(b) === 'Established', 200_000);
  });

  it('a hard reset and a shutdown by configuration carry their texts too (RFC 9003)', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    up(world, a, b);
    const told = (): string => of(b, 'notification').at(-1)?.text ?? '';
    a.speaker.reset('peer', 'hard', 'new kernel');
    world.clock.until('told', () => stateOf(b) !== 'Established');
    assert.match(told(), /6\/4.*new kernel/);
    world.clock.until('back', () => stateOf(a) === 'Established' && stateOf(b) === 'Established');
    a.speaker.setPeers([{ ...a.config, adminDown: true, shutdownText: 'out of the rack' }]);
    world.clock.until('told', () => stateOf(b) !== 'Established');
    assert.match(told(), /6\/2.*out of the rack/);
  });

  it('a stranger is refused, told of a few times only', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    b.speaker.start();
    a.speaker.setPeers([peerConfig('other', '192.0.2.77', 65001, 65077)]);
    a.speaker.start();
    world.clock.advance(100_000);
    const refused = of(a, 'refused').length;
    assert.ok(refused >= 1 && refused <= 7, `${refused} events`);
  });
});

describe('speaker: configuration under way', () => {
  it('changes policy and retry times under the session, resets for families, and says goodbye to a removed peer', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    b.speaker.originate(prefix('10.2.0.0/16'));
    up(world, a, b);
    world.clock.until('route', () => learned(a).length === 1);
    const reject = { name: 'none', rules: [], fallThrough: 'reject' } as const;
    a.speaker.setPeers([{ ...a.config, importPolicy: reject, connectRetrySec: 2, port: 1179 }]);
    world.clock.until('filtered', () => learned(a).length === 0);
    assert.equal(a.speaker.peer('peer')?.counters.droppedCount, 0);
    assert.equal(a.speaker.peer('peer')?.families.ipv4.received, 1);

    a.speaker.setPeers([{ ...a.config, families: ['ipv4'] }]);
    world.clock.until('6/6', () =>
      of(b, 'notification').some(({ error }) => error.code === 6 && error.subcode === 6),
    );
    world.clock.until('back', () => stateOf(a) === 'Established' && stateOf(b) === 'Established', 100_000);
    assert.equal(a.speaker.peer('peer')?.families.ipv6.negotiated, false);
    world.clock.until('route again', () => learned(a).length === 1);

    a.speaker.setPeers([]);
    world.clock.until('6/3', () =>
      of(b, 'notification').some(({ error }) => error.code === 6 && error.subcode === 3),
    );
    world.clock.until('routes gone', () => learned(a).length === 0);
  });

  it('what was mended is tried at once: neither IdleHold nor the failures before it count any more', () => {
    const world = new World();
    const [a, b] = [world.host(1, { peerAs: 65009 }), world.host(2)];
    a.speaker.start();
    b.speaker.start();
    const waits = (host: Host): number => {
      const at = host.speaker.peer('peer')?.nextConnectAt;
      return stateOf(host) === 'Idle' && at !== undefined ? at - world.clock.wallNow() : 0;
    };
    world.clock.until('a long wait', () => waits(a) > 20_000, 600_000);
    a.speaker.setPeers([a.config]);
    assert.ok(waits(a) > 20_000, 'nothing changed, so it goes on');
    a.speaker.setPeers([{ ...a.config, peerAs: 65002 }]);
    assert.notEqual(stateOf(a), 'Idle');
    // The other side learns it from an OPEN that is right, when its own wait is over or ours dials.
    world.clock.until('up', () => stateOf(a) === 'Established', 120_000);
  });

  it('refuses what cannot be, and changes nothing', () => {
    const { speaker, config } = new World().host(1);
    const bad = (change: object, field: string): void => {
      assert.throws(
        () => speaker.setPeers([{ ...config, ...change }]),
        (error) => error instanceof PeerConfigError && error.field === field,
      );
    };
    bad({ holdTimeSec: 2 }, 'holdTimeSec');
    bad({ peerAs: 0 }, 'peerAs');
    bad({ ttl: 0 }, 'ttl');
    bad({ families: [] }, 'families');
    assert.throws(() => speaker.setPeers([config, { ...config, name: 'twin' }]), /one peer only/);
    assert.equal(speaker.peers().length, 1);
  });
});

describe('speaker: graceful restart', () => {
  const preserved = { forwardingPreserved: { ipv4: true, ipv6: true }, deferralSec: 30 };

  it('helper keeps routes while the peer restarts, and sweeps what it did not send again', async () => {
    const world = new World();
    const a = world.host(1);
    const b = world.host(2);
    b.speaker.originate(prefix('10.2.0.0/16'));
    b.speaker.originate(prefix('10.3.0.0/16'));
    up(world, a, b);
    world.clock.until('routes', () => learned(a).length === 2);
    await b.speaker.stop({ mode: 'keep-forwarding' });
    world.clock.until('down', () => stateOf(a) !== 'Established');
    world.clock.advance(20_000);
    assert.equal(learned(a).length, 2, 'kept as stale');
    assert.equal(a.speaker.peer('peer')?.families.ipv4.stale, 2);
    assert.ok(a.speaker.peer('peer')?.gracefulRestart.helperUntil);

    const again = world.host(2, {}, { gracefulRestart: preserved });
    again.speaker.originate(prefix('10.2.0.0/16'));
    up(world, a, again);
    world.clock.until('swept', () => learned(a).join() === '10.2.0.0/16', 60_000);
    assert.equal(a.speaker.peer('peer')?.families.ipv4.stale, 0);
  });

  it('helper gives up when the peer does not come back', async () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    b.speaker.originate(prefix('10.2.0.0/16'));
    up(world, a, b);
    world.clock.until('route', () => learned(a).length === 1);
    await b.speaker.stop({ mode: 'keep-forwarding' });
    world.clock.advance(118_000);
    assert.equal(learned(a).length, 1);
    world.clock.advance(4_000);
    assert.deepEqual(learned(a), []);
  });

  it('restarter selects nothing before the End-of-RIB of its peer, then says so per family', () => {
    const world = new World();
    const a = world.host(1, {}, { gracefulRestart: preserved });
    const b = world.host(2);
    b.speaker.originate(prefix('10.2.0.0/16'));
    const ended: string[] = [];
    a.speaker.onDeferralEnd((family) => {
      ended.push(family);
      if (family === 'ipv4') assert.deepEqual(learned(a), ['10.2.0.0/16'], 'selected when told');
    });
    up(world, a, b);
    world.clock.until('both families', () => ended.length === 2, 30_000);
    assert.deepEqual(
      of(a, 'deferral-ended').map(({ why }) => why),
      ['end-of-rib', 'end-of-rib'],
    );
  });

  it('waits 5 s for peers that do not come, not longer, and not at all when nothing was preserved', () => {
    const world = new World();
    const a = world.host(1, {}, { gracefulRestart: preserved });
    a.speaker.start();
    world.clock.advance(4_900);
    assert.equal(of(a, 'deferral-ended').length, 0);
    world.clock.advance(200);
    assert.equal(of(a, 'deferral-ended').length, 2);
    const fresh = new World().host(1);
    const clock = new World();
    const b = clock.host(1);
    b.speaker.start();
    clock.clock.advance(1);
    assert.deepEqual(
      of(b, 'deferral-ended').map(({ why }) => why),
      ['nothing-preserved', 'nothing-preserved'],
    );
    assert.equal(fresh.speaker.deferred.length, 0);
  });
});

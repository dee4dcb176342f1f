import assert from 'node:assert/strict';
import { Deferral, type DeferralPeer } from '../../../../bgp/speaker/deferral.ts';
import { type Host, learned, prefix, stateOf, World } from './world.ts';

function up(world: World, ...hosts: readonly Host[]): void {
  for (const { speaker } of hosts) speaker.start();
  world.clock.until('both established', () => hosts.every((host) => stateOf(host) === 'Established'));
}

const BOTH = { ipv4: true, ipv6: true };

function peer(change: Partial<DeferralPeer> = {}): DeferralPeer {
  return {
    state: 'Established',
    wasUp: true,
    families: ['ipv4', 'ipv6'],
    owesEndOfRib: ['ipv4', 'ipv6'],
    isRestarting: false,
    upForMs: 0,
    ...change,
  };
}

const families = (done: readonly { readonly family: string }[]): string[] => done.map(({ family }) => family);

describe('speaker: the restarting speaker waits for its peers', () => {
  it('for nobody before the peers are known, then for End-of-RIB of each family', () => {
    const deferral = new Deferral(BOTH, 30);
    assert.deepEqual(deferral.check([], 0), []);
    deferral.begin(0);
    assert.deepEqual(deferral.check([peer()], 10_000), []);
    assert.deepEqual(families(deferral.check([peer({ owesEndOfRib: ['ipv6'] })], 10_000)), ['ipv4']);
    assert.deepEqual(families(deferral.check([peer({ owesEndOfRib: [] })], 10_000)), ['ipv6']);
  });

  it('for a peer that restarts itself (RFC 4724 4.1) a few seconds of its session, not longer', () => {
    const deferral = new Deferral(BOTH, 30);
    deferral.begin(0);
    const restarting = (upForMs: number): DeferralPeer[] => [peer({ isRestarting: true, upForMs })];
    assert.deepEqual(deferral.check(restarting(0), 8000), []);
    assert.equal(deferral.nextCheckMs(restarting(0), 8000), 5000);
    assert.deepEqual(deferral.check(restarting(4999), 12_999), []);
    assert.deepEqual(families(deferral.check(restarting(5000), 13_000)), ['ipv4', 'ipv6']);
    assert.equal(deferral.nextCheckMs(restarting(5000), 13_000), undefined);
  });

  it('30 s at most', () => {
    const deferral = new Deferral(BOTH, 30);
    deferral.begin(0);
    assert.equal(deferral.nextCheckMs([peer()], 10_000), 20_000);
    assert.deepEqual(
      deferral.check([peer()], 30_000).map(({ why }) => why),
      ['timer', 'timer'],
    );
  });
});

describe('speaker: an End-of-RIB before any route', () => {
  const preserved = { forwardingPreserved: BOTH, deferralSec: 30 };

  it('is believed after 5 s only while routes of an earlier life are in use', () => {
    const world = new World();
    const a = world.host(1, {}, { gracefulRestart: preserved });
    const b = world.host(2);
    up(world, a, b);
    world.clock.advance(1500);
    assert.deepEqual(a.speaker.deferred, ['ipv4', 'ipv6']);
    // What the peer tells late is there when selection begins.
    b.speaker.originate(prefix('10.2.0.0/16'));
    let selected: string[] | undefined;
    a.speaker.onDeferralEnd((family) => {
      if (family === 'ipv4') selected = learned(a);
    });
    world.clock.until('selection begins', () => selected !== undefined, 10_000);
    assert.deepEqual(selected, ['10.2.0.0/16']);
  });

  it('is believed at once by a speaker that preserved nothing', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    up(world, a, b);
    world.clock.advance(1000);
    assert.equal(a.speaker.peer('peer')?.families.ipv4.endOfRibReceived, true);
  });
});

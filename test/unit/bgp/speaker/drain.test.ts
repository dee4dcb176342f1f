import assert from 'node:assert/strict';
import { type Host, learned, peerConfig, prefix, stateOf, World } from './world.ts';

function pair(): { world: World; a: Host; b: Host } {
  const world = new World();
  const [a, b] = [world.host(1), world.host(2)];
  for (const { speaker } of [a, b]) speaker.start();
  a.speaker.originate(prefix('10.1.0.0/16'));
  world.clock.until('routes', () => learned(b).length === 1);
  return { world, a, b };
}

const communitiesAt = ({ speaker }: Host): readonly number[] =>
  [...speaker.rib.routes({ family: 'ipv4' })].flatMap(({ attributes }) => attributes.communities ?? []);

describe('speaker: taking a node out of service (RFC 8326)', () => {
  it('tags first, ends the sessions later with 6/2 and a text, keeps them down, and comes back', () => {
    const { world, a, b } = pair();
    a.speaker.drain({ waitSec: 30, text: 'new disks' });
    assert.equal(a.speaker.service.state, 'draining');
    world.clock.until('tagged', () => communitiesAt(b).includes(0xffff0000));
    world.clock.advance(20_000);
    assert.deepEqual([stateOf(a), learned(b)], ['Established', ['10.1.0.0/16']]);
    world.clock.until('drained', () => a.speaker.service.state === 'drained');
    assert.equal(stateOf(a), 'Idle(Admin)');
    world.clock.until('gone', () => learned(b).length === 0);
    assert.match(b.speaker.peer('peer')?.lastReset?.text ?? '', /6\/2.*new disks/);
    world.clock.advance(300_000);
    assert.notEqual(stateOf(b), 'Established');
    a.speaker.undrain();
    world.clock.until('back', () => stateOf(b) === 'Established' && learned(b).length === 1, 200_000);
    assert.deepEqual(communitiesAt(b), []);
    assert.deepEqual(
      a.events.flatMap((event) => (event.type === 'service' ? event.state : [])),
      ['draining', 'drained', 'in-service'],
    );
  });

  it('is called off before the sessions end', () => {
    const { world, a, b } = pair();
    a.speaker.drain({ waitSec: 30 });
    world.clock.until('tagged', () => communitiesAt(b).includes(0xffff0000));
    a.speaker.undrain();
    world.clock.until('not tagged', () => communitiesAt(b).length === 0);
    world.clock.advance(100_000);
    assert.equal(a.speaker.peer('peer')?.counters.droppedCount, 0);
  });

  it('holds peers that come meanwhile, and leaves those alone that were down already', () => {
    const { world, a, b } = pair();
    const other = peerConfig('other', '192.0.2.3', 65001, 65003);
    const off = { ...peerConfig('off', '192.0.2.4', 65001, 65004), adminDown: true };
    a.speaker.setPeers([a.config, off]);
    a.speaker.drain({ waitSec: 0 });
    assert.equal(a.speaker.service.state, 'drained');
    a.speaker.setPeers([a.config, other, off]);
    assert.deepEqual(
      a.speaker.peers().map(({ state }) => state),
      ['Idle(Admin)', 'Idle(Admin)', 'Idle(Admin)'],
    );
    world.clock.advance(10_000);
    a.speaker.undrain();
    assert.equal(a.speaker.peer('off')?.state, 'Idle(Admin)');
    assert.equal(a.speaker.peer('other')?.state, 'Connect');
    world.clock.until('back', () => stateOf(b) === 'Established', 200_000);
  });
});

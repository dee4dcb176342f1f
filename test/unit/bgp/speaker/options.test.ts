/** Two speakers in memory: peers that come by themselves, a limit that stops a session, draining, another AS than expected. */
import assert from 'node:assert/strict';
import type { DialHandlers } from '../../../../bgp/transport/channel.ts';
import type { DynamicPeers } from '../../../../bgp/types.ts';
import { address, type Host, learned, peerConfig, prefix, stateOf, World } from './world.ts';

const {
  name: _name,
  address: _address,
  passive: _passive,
  adminDown: _down,
  ...TEMPLATE
} = peerConfig('template', '192.0.2.1', 65002, 1);

function group(change: Partial<DynamicPeers> = {}): DynamicPeers {
  return {
    name: 'rack',
    prefix: prefix('192.0.2.0/24'),
    limit: 1,
    template: { ...TEMPLATE, acceptedAs: [65001] },
    ...change,
  };
}

/** Host 1 dials host 2, which knows it only by prefix. */
function dynamicPair(world: World, groups: readonly DynamicPeers[]): { one: Host; two: Host } {
  const one = world.host(1, { graceful: false });
  const two = world.host(2);
  two.speaker.setPeers([]);
  two.speaker.setDynamicPeers(groups);
  one.speaker.originate(prefix('10.0.0.0/8'));
  one.speaker.originate(prefix('10.1.0.0/16'));
  one.speaker.start();
  two.speaker.start();
  world.clock.advance(5_000);
  return { one, two };
}

describe('speaker options', () => {
  it('a dynamic peer comes with its dial, learns its AS, and goes with its session', () => {
    const world = new World();
    const { one, two } = dynamicPair(world, [group()]);
    assert.equal(stateOf(one), 'Established');
    const status = two.speaker.peer('192.0.2.1');
    assert.deepEqual([status?.state, status?.peerAs, status?.kind], ['Established', 65001, 'ebgp']);
    assert.deepEqual(learned(two), ['10.0.0.0/8', '10.1.0.0/16']);
    one.speaker.disable('peer');
    world.clock.advance(10_000);
    assert.deepEqual(two.speaker.peers(), []);
    assert.deepEqual(learned(two), []);
  });

  it('a dynamic peer of another AS does not come up, and no group means no peer', () => {
    const world = new World();
    const { one, two } = dynamicPair(world, [group({ template: { ...TEMPLATE, acceptedAs: [65009] } })]);
    assert.notEqual(stateOf(one), 'Established');
    two.speaker.setDynamicPeers([]);
    world.clock.advance(90_000);
    assert.deepEqual(two.speaker.peers(), []);
  });

  it('one dynamic peer more than the limit is told 6/5 (RFC 4486 4), a flood of them nothing', () => {
    const world = new World();
    const { one, two } = dynamicPair(world, [group()]);
    const network = world.internet.host(address('192.0.2.3'));
    const answers: string[] = [];
    const dial = (): void => {
      const handlers: DialHandlers = {
        onUp: (channel) =>
          channel.start({
            onData: (octets) => void answers.push(Buffer.from(octets.subarray(18)).toString('hex')),
            onClose: () => answers.push('closed'),
          }),
        onFail: (reason) => assert.fail(reason),
      };
      network.dial(
        { address: address('192.0.2.2'), port: 179, localAddress: undefined, ttl: 1, minTtl: undefined },
        handlers,
      );
      world.clock.advance(2_000);
    };
    dial();
    assert.deepEqual(answers, ['030605', 'closed']);
    assert.ok(
      two.events.some(
        (event) =>
          event.type === 'warning' && /192\.0\.2\.3 is refused: .* has its 1 peers/.test(event.message),
      ),
    );
    for (let i = 0; i < 10; i++) dial();
    assert.equal(answers.filter((answer) => answer === '030605').length, 5);
    assert.equal(answers.filter((answer) => answer === 'closed').length, 11);
    assert.deepEqual([stateOf(one), two.speaker.peers().length], ['Established', 1]);
  });

  it('too many prefixes: 6/1, Idle until its time is over, then again', () => {
    const world = new World();
    const limit = {
      limit: 1,
      count: 'received',
      warnPercent: 100,
      action: { kind: 'stop', restartSec: 60 },
    } as const;
    const one = world.host(1);
    const two = world.host(2, { maxPrefixes: { ipv4: limit } });
    for (const text of ['10.0.0.0/8', '10.1.0.0/16']) one.speaker.originate(prefix(text));
    one.speaker.start();
    two.speaker.start();
    world.clock.advance(10_000);
    assert.equal(stateOf(two), 'Idle');
    assert.deepEqual(learned(two), []);
    const isTold = two.events.some(
      (event) => event.type === 'notification' && event.error.code === 6 && event.error.subcode === 1,
    );
    assert.ok(isTold);
    one.speaker.withdraw(prefix('10.1.0.0/16'));
    world.clock.advance(90_000);
    assert.equal(stateOf(two), 'Established');
    assert.deepEqual(learned(two), ['10.0.0.0/8']);
  });

  it('drain tags everything, waits, and only then says goodbye', async () => {
    const world = new World();
    const one = world.host(1);
    const two = world.host(2);
    one.speaker.originate(prefix('10.0.0.0/8'));
    one.speaker.start();
    two.speaker.start();
    world.clock.advance(5_000);
    const drained = one.speaker.drain({ waitSec: 30, text: 'moving' });
    world.clock.advance(20_000);
    const [path] = two.speaker.rib.routes({ family: 'ipv4' });
    assert.deepEqual([path?.attributes.localPref, path?.attributes.communities], [0, [0xffff0000]]);
    assert.equal(stateOf(two), 'Established');
    for (let i = 0; i < 4; i++) {
      world.clock.advance(10_000);
      await Promise.resolve();
    }
    await drained;
    assert.deepEqual(learned(two), []);
    assert.ok(two.events.some((event) => event.type === 'notification' && event.text.includes('moving')));
  });
});

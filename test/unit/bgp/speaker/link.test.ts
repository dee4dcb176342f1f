/** Fast external failover: peers whose link the owner of the speaker follows. Hold time 0: no timer ends a session here. */
import assert from 'node:assert/strict';
import type { HostLinks, LinkState } from '../../../../bgp/speaker/link-guard.ts';
import { address, type Host, learned, type PeerChange, prefix, stateOf, World } from './world.ts';

class Links implements HostLinks {
  readonly #states = new Map<string, LinkState>();
  readonly #listeners = new Set<(name: string) => void>();

  get listeners(): number {
    return this.#listeners.size;
  }

  stateOf(name: string): LinkState {
    return this.#states.get(name) ?? 'operational';
  }

  onChange(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(name: string, state: LinkState): void {
    this.#states.set(name, state);
    for (const listener of this.#listeners) listener(name);
  }
}

const NO_CARRIER = 'link eth0 is down: no carrier';

function pair(
  change: PeerChange = {},
  link: Pick<PeerChange, 'failoverLink'> = { failoverLink: 'eth0' },
): { world: World; one: Host; two: Host; links: Links } {
  const world = new World();
  const links = new Links();
  const one = world.host(1, { holdTimeSec: 0, ...link, ...change }, { links });
  const two = world.host(2, { holdTimeSec: 0, passive: true });
  return { world, one, two, links };
}

function up(...of: Parameters<typeof pair>): ReturnType<typeof pair> {
  const made = pair(...of);
  const { world, one, two } = made;
  two.speaker.originate(prefix('203.0.113.0/24'));
  one.speaker.start();
  two.speaker.start();
  world.clock.until('routes', () => learned(one).length === 1);
  return made;
}

const peer = ({ speaker }: Host) => speaker.peer('peer');

describe('a peer on a link that fails', () => {
  it('goes at once with its routes, graceful restart or not, without a NOTIFICATION; comes back at once with the link', () => {
    const { world, one, two, links } = up();
    assert.equal(peer(one)?.gracefulRestart.peerCapable, true);
    links.set('eth0', 'no-carrier');
    assert.equal(stateOf(one), 'Idle');
    world.clock.advance(10);
    assert.deepEqual(learned(one), []);
    const { lastReset, lastError, lastNotification } = peer(one) ?? {};
    assert.deepEqual([lastReset?.text, lastReset?.direction, lastError], [NO_CARRIER, 'none', NO_CARRIER]);
    assert.equal(lastNotification?.sent, undefined);
    assert.ok(
      one.events.some(
        (event) =>
          event.type === 'session-down' && event.reason === NO_CARRIER && event.keptStale.length === 0,
      ),
    );
    // The other side saw a connection go, and may keep what it has.
    assert.equal(peer(two)?.lastReset?.direction, 'none');
    world.clock.advance(600_000);
    assert.equal(stateOf(one), 'Idle', 'nothing is tried meanwhile');
    assert.equal(peer(one)?.nextConnectAt, undefined);
    links.set('eth0', 'operational');
    assert.equal(stateOf(one), 'Connect');
    world.clock.until('back', () => learned(one).length === 1);
    assert.equal(peer(one)?.lastError, undefined);
    assert.equal(peer(one)?.lastReset?.text, NO_CARRIER);
  });

  it('says what is wrong with the link, also when that changes', () => {
    const { one, links } = up();
    links.set('eth0', 'no-carrier');
    links.set('eth0', 'down');
    assert.equal(peer(one)?.lastError, 'link eth0 is down: administratively down');
    links.set('eth0', 'absent');
    assert.equal(peer(one)?.lastError, 'link eth0 is down: there is no such link');
    assert.equal(peer(one)?.lastReset?.text, NO_CARRIER, 'that is what ended it');
  });

  it('other links, and peers without a link, are no business of it', () => {
    const { one, links } = up();
    links.set('eth1', 'down');
    assert.equal(stateOf(one), 'Established');
    const { one: free, links: others } = up({}, {});
    others.set('eth0', 'down');
    assert.equal(stateOf(free), 'Established');
  });

  it('is not dialled from the start while the link is down', () => {
    const { world, one, two, links } = pair();
    links.set('eth0', 'down');
    one.speaker.start();
    two.speaker.start();
    world.clock.advance(60_000);
    assert.deepEqual(
      [stateOf(one), peer(one)?.lastError],
      ['Idle', 'link eth0 is down: administratively down'],
    );
    links.set('eth0', 'operational');
    world.clock.until('up', () => stateOf(one) === 'Established');
  });

  it('a change of the configuration is obeyed under the session: another link, none, and back', () => {
    const { world, one, links } = up();
    const since = peer(one)?.establishedAt;
    const { failoverLink: _, ...free } = one.config;
    links.set('eth1', 'down');
    one.speaker.setPeers([free]);
    links.set('eth0', 'no-carrier');
    assert.equal(peer(one)?.establishedAt, since, 'switched off, it stays');
    one.speaker.setPeers([one.config]);
    assert.equal(stateOf(one), 'Idle', 'switched on over a dead link it goes');
    one.speaker.setPeers([{ ...one.config, failoverLink: 'eth1' }]);
    assert.match(peer(one)?.lastError ?? '', /^link eth1 is down/);
    one.speaker.setPeers([free]);
    assert.equal(stateOf(one), 'Connect', 'switched off it is dialled');
    world.clock.until('up', () => stateOf(one) === 'Established');
  });

  it('an administrative stop comes first', () => {
    const { one, links } = up();
    links.set('eth0', 'no-carrier');
    one.speaker.disable('peer');
    assert.equal(stateOf(one), 'Idle(Admin)');
    links.set('eth0', 'operational');
    assert.equal(stateOf(one), 'Idle(Admin)');
    links.set('eth0', 'no-carrier');
    one.speaker.enable('peer');
    assert.deepEqual([stateOf(one), peer(one)?.lastError], ['Idle', NO_CARRIER]);
  });

  it('one that came by itself is gone with its link', () => {
    const world = new World();
    const links = new Links();
    const one = world.host(1, {}, { links });
    const two = world.host(2, { holdTimeSec: 0 });
    const { name: _name, address: _address, passive: _passive, adminDown: _down, ...template } = one.config;
    one.speaker.setPeers([]);
    one.speaker.setDynamicPeers([
      {
        name: 'rack',
        prefix: prefix('192.0.2.0/24'),
        limit: 5,
        template: { ...template, failoverLink: 'eth0' },
      },
    ]);
    one.speaker.start();
    two.speaker.start();
    world.clock.until('up', () => stateOf(two) === 'Established');
    assert.deepEqual(one.speaker.peerNames(), ['192.0.2.2']);
    links.set('eth0', 'no-carrier');
    world.clock.advance(10);
    assert.deepEqual(one.speaker.peerNames(), []);
  });

  it('a peer that is taken out while its link is down, and another of its name, start anew', () => {
    const { world, one, links } = up();
    links.set('eth0', 'no-carrier');
    one.speaker.setPeers([]);
    links.set('eth0', 'operational');
    one.speaker.setPeers([one.config]);
    world.clock.until('up', () => stateOf(one) === 'Established');
    links.set('eth0', 'no-carrier');
    one.speaker.setPeers([{ ...one.config, address: address('192.0.2.9') }]);
    assert.deepEqual([stateOf(one), peer(one)?.lastError], ['Idle', NO_CARRIER]);
    // Whoever is on a link of that name is one peer to people.
    assert.equal(peer(one)?.lastReset?.text, NO_CARRIER);
  });

  it('nobody listens any more once the speaker has stopped', async () => {
    const { one, links } = up();
    await one.speaker.stop({ mode: 'keep-forwarding' });
    assert.equal(links.listeners, 0);
  });
});

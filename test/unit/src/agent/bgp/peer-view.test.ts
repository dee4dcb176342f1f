/** Sessions as the API answers them: the text says what the object does, at every step of a session, and a long list holds up nobody. */
import assert from 'node:assert/strict';
import { Speaker } from '../../../../../bgp/speaker.ts';
import { originsOfPeers } from '../../../../../src/agent/bgp/dynamic.ts';
import type { NodePeer } from '../../../../../src/agent/bgp/peer-types.ts';
import { peerText, peerView } from '../../../../../src/agent/bgp/peer-view.ts';
import { type BgpSource, bgpApiRoutes } from '../../../../../src/agent/bgp-routes.ts';
import type { PeerView } from '../../../../../src/api/views.ts';
import { type Host, learned, peerConfig, prefix, stateOf, World } from '../../../bgp/speaker/world.ts';

const ORIGIN = { resource: 'BGPPeer tor' };

function statusOf({ speaker }: Host) {
  const status = speaker.peer('peer');
  assert.ok(status);
  return status;
}

/** The text of a peer, read, once it has been found to say what the object says. */
function check(host: Host, origin = ORIGIN): PeerView {
  const status = statusOf(host);
  const read: PeerView = JSON.parse(peerText(status, origin));
  assert.deepEqual(read, JSON.parse(JSON.stringify(peerView(status, origin))));
  assert.equal(read.state, status.state);
  assert.equal(read.name, 'peer');
  return read;
}

describe('a session as the API answers it', () => {
  it('text and object say the same at every step of a session', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    assert.equal(check(a).terms, undefined);
    a.speaker.start();
    b.speaker.start();
    const seen = new Set<string>();
    world.clock.until('up', () => {
      seen.add(check(a).state);
      check(b);
      return stateOf(a) === 'Established' && stateOf(b) === 'Established';
    });
    assert.ok(seen.size > 2, [...seen].join());
    b.speaker.originate(prefix('10.1.0.0/16'));
    world.clock.until('the route', () => learned(a).length === 1);
    assert.equal(check(a).families.ipv4.received, 1);
    assert.equal(check(a).routerId, '192.0.2.2');
    assert.equal(check(a).connection?.remote.address, '192.0.2.2');
    a.speaker.reset('peer', 'hard', 'new cables');
    const down = check(a);
    assert.match(down.lastNotification.sent?.text ?? '', /new cables/);
    assert.match(down.lastReset?.text ?? '', /new cables/);
    assert.equal(down.connection, undefined);
    assert.equal(down.routerId, undefined);
    world.clock.until('up again', () => check(a).state === 'Established', 120_000);
    assert.equal(check(a).counters['establishedCount'], 2);
  });

  it('what stands stays one object while routes and time go by, and follows the configuration and the session', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    a.speaker.start();
    b.speaker.start();
    world.clock.until('up', () => stateOf(a) === 'Established' && stateOf(b) === 'Established');
    const { standing } = statusOf(a);
    for (let i = 0; i < 20; i++) b.speaker.originate(prefix(`10.${i}.0.0/16`));
    world.clock.until('routes', () => learned(a).length === 20);
    world.clock.advance(8_000);
    assert.equal(statusOf(a).standing, standing);
    a.speaker.setPeers([{ ...a.config, exportPolicy: { name: 'none', rules: [], fallThrough: 'reject' } }]);
    assert.equal(stateOf(a), 'Established');
    assert.equal(check(a).policy.export, 'none');
    a.speaker.setPeers([{ ...a.config, ttl: 7 }]);
    assert.equal(check(a).transport.ttl, 7);
    world.clock.until('up again', () => check(a).state === 'Established', 120_000);
    assert.notEqual(statusOf(a).standing, standing);
  });

  it('a peer whose resource changes is answered under the new one', () => {
    const host = new World().host(1);
    assert.equal(check(host).resource, 'BGPPeer tor');
    assert.equal(check(host, { resource: 'BGPPeer other' }).resource, 'BGPPeer other');
    const view = JSON.parse(peerText(statusOf(host), { resource: 'BGPPeer other', group: 'tors' }));
    assert.equal(view.group, 'tors');
  });
});

describe('the list of a thousand peers', () => {
  const COUNT = 1000;
  const configs = Array.from({ length: COUNT }, (_, index) => ({
    ...peerConfig(`peer${index}`, `10.0.${index >> 8}.${index & 255}`, 65000, 65001 + index),
    passive: true,
  }));
  const nodePeers = (): NodePeer[] =>
    configs.map((config, index) => ({ config, resource: `BGPPeer ${index}`, filters: [] }));

  function sourceOf(): BgpSource & { readonly speaker: Speaker } {
    const speaker = new Speaker({
      routerId: 1,
      localAs: 65000,
      listen: undefined,
      nextHopTracking: false,
      gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 1 },
      log: () => {},
    });
    speaker.setPeers(configs);
    return { speaker, peers: nodePeers(), ranges: [] };
  }

  async function piecesOf(source: BgpSource): Promise<Iterable<string>> {
    const { signal } = new AbortController();
    const request = { params: {}, query: new URLSearchParams(), body: undefined, signal };
    const reply = await bgpApiRoutes(source)['GET /v1/bgp/peers']?.(request);
    assert.ok(reply !== undefined && 'jsonPieces' in reply);
    return reply.jsonPieces;
  }

  it('is made a peer at a time, with the resource of each', async () => {
    const pieces = [...(await piecesOf(sourceOf()))];
    assert.ok(pieces.length >= COUNT);
    const views: PeerView[] = JSON.parse(pieces.join(''));
    assert.deepEqual(
      views.map(({ name, resource }) => `${name} ${resource}`),
      configs.map(({ name }, index) => `${name} BGPPeer ${index}`),
    );
  });

  it('peers that go or are made anew while it is made: no gaps in the text, none twice', async () => {
    const source = sourceOf();
    let text = '';
    let made = 0;
    for (const piece of await piecesOf(source)) {
      text += piece;
      if (++made !== COUNT / 2) continue;
      // The first comes anew under another address, the last goes.
      const [first, ...others] = configs;
      assert.ok(first);
      source.speaker.setPeers([
        { ...first, address: { ...first.address, bytes: Uint8Array.of(10, 9, 9, 9) } },
        ...others.slice(0, -1),
      ]);
    }
    const views: PeerView[] = JSON.parse(text);
    assert.equal(views.length, COUNT - 1);
    assert.equal(new Set(views.map(({ name }) => name)).size, COUNT - 1);
  });

  it('is empty without peers, and without a speaker', async () => {
    const { speaker } = sourceOf();
    speaker.setPeers([]);
    assert.equal([...(await piecesOf({ speaker, peers: [], ranges: [] }))].join(''), '[]');
    assert.equal([...(await piecesOf({ speaker: undefined, peers: [], ranges: [] }))].join(''), '[]');
  });

  it('origins are found by name, and by range for those that came by themselves', () => {
    const { speaker, peers } = sourceOf();
    const status = speaker.peer('peer7');
    assert.ok(status);
    assert.deepEqual(originsOfPeers({ peers, ranges: [] })(status), { resource: 'BGPPeer 7' });
    assert.deepEqual(originsOfPeers({ peers, ranges: [] })({ ...status, dynamic: 'x' }), { resource: '' });
  });
});

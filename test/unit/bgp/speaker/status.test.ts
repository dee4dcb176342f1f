/** What a speaker tells of a peer: every figure against what the two sides did. */
import assert from 'node:assert/strict';
import type { PeerStatus } from '../../../../bgp/types.ts';
import { prefixLimitFindings } from '../../../../src/agent/bgp/peer-findings.ts';
import { type Host, learned, prefix, stateOf, World } from './world.ts';

function up(world: World, ...hosts: readonly Host[]): void {
  for (const { speaker } of hosts) speaker.start();
  world.clock.until('both established', () => hosts.every((host) => stateOf(host) === 'Established'));
}

function statusOf(host: Host): PeerStatus {
  const status = host.speaker.peer('peer');
  assert.ok(status);
  return status;
}

describe('status of a peer', () => {
  it('messages by type: what one side sent, the other received', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2, { passive: true })];
    up(world, a, b);
    a.speaker.originate(prefix('10.1.0.0/16'));
    world.clock.until('the route', () => learned(b).length === 1);
    b.speaker.reset('peer', 'soft-in');
    // What comes after a NOTIFICATION was sent is not read any more.
    world.clock.advance(500);
    a.speaker.reset('peer', 'hard');
    world.clock.until('down', () => stateOf(a) !== 'Established');
    world.clock.until('up again', () => stateOf(a) === 'Established' && stateOf(b) === 'Established');
    world.clock.advance(500);
    const [one, two] = [statusOf(a), statusOf(b)];
    assert.deepEqual(one.messages.sent, two.messages.received);
    assert.deepEqual(one.messages.received, two.messages.sent);
    assert.equal(one.messages.sent.open, 2);
    assert.equal(one.messages.sent.notification, 1);
    assert.equal(two.messages.sent.routeRefresh, 2);
    const { open, update, notification, keepalive, routeRefresh } = one.messages.sent;
    assert.equal(one.counters.messagesSent, open + update + notification + keepalive + routeRefresh);
    assert.equal(one.counters.updatesSent, update);
  });

  it('NOTIFICATIONs of both directions are kept over sessions, decoded', () => {
    const world = new World();
    const [a, b] = [world.host(1, { graceful: false }), world.host(2, { graceful: false, passive: true })];
    up(world, a, b);
    assert.deepEqual(statusOf(a).lastNotification, {});
    b.speaker.disable('peer', 'new cables');
    world.clock.until('down', () => stateOf(a) !== 'Established');
    const { received } = statusOf(a).lastNotification;
    assert.deepEqual([received?.error.code, received?.error.subcode], [6, 2]);
    assert.equal(received?.text, 'Cease/Administrative Shutdown (6/2): new cables');
    assert.equal(received?.at, world.clock.wallNow());
    b.speaker.enable('peer');
    world.clock.until('up', () => stateOf(a) === 'Established' && stateOf(b) === 'Established', 120_000);
    a.speaker.reset('peer', 'hard');
    const { sent, ...rest } = statusOf(a).lastNotification;
    assert.deepEqual([sent?.error.code, sent?.error.subcode, sent?.reason], [6, 4, 'administratively reset']);
    assert.deepEqual(rest.received, received);
    world.clock.advance(100);
    assert.equal(statusOf(b).lastNotification.received?.error.subcode, 4);
    assert.equal(statusOf(b).lastNotification.sent?.error.subcode, 2);
  });

  it('timers: configured, agreed upon, and what is left of them', () => {
    const world = new World();
    const [a, b] = [world.host(1, { holdTimeSec: 90 }), world.host(2, { holdTimeSec: 30, passive: true })];
    assert.deepEqual(statusOf(a).timers.remainingMs, {});
    up(world, a, b);
    world.clock.advance(4000);
    const { configured, negotiated, remainingMs } = statusOf(a).timers;
    assert.deepEqual(configured, { holdTimeSec: 90, connectRetrySec: 1, connectRetryMaxSec: 4 });
    assert.deepEqual(negotiated, { holdTimeSec: 30, keepaliveTimeSec: 10 });
    const { hold = 0, keepalive = 0, 'send-hold': sendHold = 0, ...others } = remainingMs;
    assert.ok(hold > 20_000 && hold <= 30_000, String(hold));
    assert.ok(keepalive > 0 && keepalive <= 6000, String(keepalive));
    assert.ok(sendHold > 470_000 && sendHold <= 480_000, String(sendHold));
    assert.deepEqual(others, {});
    a.speaker.reset('peer', 'hard');
    assert.deepEqual(Object.keys(statusOf(a).timers.remainingMs), ['idle-hold']);
    world.internet.cut();
    world.clock.advance(20_000);
    assert.equal(statusOf(a).timers.negotiated, undefined);
  });

  it('connection, capabilities and terms, as both OPENs have them', () => {
    const world = new World();
    const [a, b] = [
      world.host(1, {
        extendedMessages: true,
        enhancedRouteRefresh: true,
        extendedNextHop: true,
        addPath: { receive: ['ipv4'], send: ['ipv6'] },
        ttl: 255,
        minTtl: 254,
        requireConnected: true,
      }),
      world.host(2, {
        passive: true,
        extendedMessages: true,
        addPath: { send: ['ipv4', 'ipv6'], sendMax: 3 },
      }),
    ];
    up(world, a, b);
    const [one, two] = [statusOf(a), statusOf(b)];
    assert.deepEqual(one.connection?.local, two.connection?.remote);
    assert.deepEqual(one.connection?.remote, two.connection?.local);
    assert.deepEqual([one.connection?.direction, two.connection?.direction], ['outgoing', 'incoming']);
    assert.equal(one.connection?.remote.port, 179);
    assert.deepEqual(one.capabilities.sent, two.capabilities.received);
    assert.deepEqual(one.capabilities.received, two.capabilities.sent);
    assert.deepEqual(one.terms, {
      fourOctetAs: true,
      routeRefresh: true,
      enhancedRouteRefresh: false,
      maxMessageOctets: 65535,
      extendedNextHop: false,
      addPathReceive: ['ipv4'],
      addPathSend: [],
      gracefulNotification: false,
    });
    assert.deepEqual([two.terms?.addPathSend, two.terms?.addPathSendMax], [['ipv4'], 3]);
    assert.deepEqual(one.transport, {
      port: 179,
      passive: false,
      ttl: 255,
      minTtl: 254,
      md5: false,
      multihop: false,
      bfd: false,
    });
    assert.deepEqual([one.localRouterId, two.peerRouterId], [0xc0000201, 0xc0000201]);
  });

  it('multihop: unless TTL, TTL security or configuration keep the peer next door', () => {
    const isMultihop = (changes: Parameters<World['host']>[1]): boolean =>
      statusOf(new World().host(1, changes)).transport.multihop;
    assert.equal(isMultihop({ ttl: 1 }), false);
    assert.equal(isMultihop({ ttl: 64 }), true);
    assert.equal(isMultihop({ ttl: 255, minTtl: 255 }), false);
    assert.equal(isMultihop({ ttl: 255, minTtl: 254 }), true);
    assert.equal(isMultihop({ ttl: 64, requireConnected: true }), false);
  });

  it('limits: how near, and what was left out', () => {
    const world = new World();
    const limit = { limit: 2, count: 'accepted', warnPercent: 50, action: { kind: 'discard' } } as const;
    const [a, b] = [world.host(1, { maxPrefixes: { ipv4: limit } }), world.host(2)];
    for (let i = 1; i <= 5; i++) b.speaker.originate(prefix(`10.${i}.0.0/16`));
    up(world, a, b);
    world.clock.until('routes', () => learned(a).length === 2);
    world.clock.advance(100);
    const { ipv4, ipv6 } = statusOf(a).families;
    assert.deepEqual(ipv4.prefixLimit, { ...limit, current: 2 });
    assert.equal(ipv4.discarded, 3);
    assert.equal(ipv6.prefixLimit, undefined);
    const [finding, ...others] = prefixLimitFindings(statusOf(a));
    assert.equal(finding?.message, 'BGP peer peer has 2 of 2 ipv4 prefixes accepted; 3 more are left out');
    assert.deepEqual([others, prefixLimitFindings(statusOf(b))], [[], []]);
  });

  it('prefixes that the peer is still to be told of', () => {
    const world = new World();
    const [a, b] = [world.host(1), world.host(2)];
    up(world, a, b);
    world.clock.advance(100);
    assert.equal(statusOf(a).families.ipv4.pending, 0);
    // Nothing is taken by the network: what does not fit into the first buffer stays.
    world.internet.cut();
    for (let i = 0; i < 40_000; i++) {
      a.speaker.originate(prefix(`10.${i >> 8}.${i & 255}.0/24`), {});
    }
    world.clock.advance(1000);
    const { families, outputQueued } = statusOf(a);
    assert.ok(outputQueued > 0);
    assert.equal(families.ipv4.advertised + families.ipv4.pending, 40_000);
    assert.ok(families.ipv4.pending > 10_000, String(families.ipv4.pending));
    world.internet.heal();
    world.clock.until('all are told', () => statusOf(b).families.ipv4.received === 40_000, 60_000);
    world.clock.advance(100);
    assert.equal(statusOf(a).families.ipv4.pending, 0);
    assert.equal(statusOf(a).outputQueued, 0);
  });
});

/** `ocicat bgp peers NAME`: the text, and the JSON behind it, of sessions between two speakers. */
import assert from 'node:assert/strict';
import { compareCapabilities } from '../../../../../src/agent/bgp/peer-detail.ts';
import { peerView } from '../../../../../src/agent/bgp/peer-view.ts';
import type { PeerView } from '../../../../../src/api/views.ts';
import { neighbourName } from '../../../../../src/cli/commands/bgp-names.ts';
import { renderPeer } from '../../../../../src/cli/commands/bgp-peer.ts';
import type { Terminal } from '../../../../../src/cli/output/emit.ts';
import { type Host, learned, type PeerChange, prefix, stateOf, World } from '../../../bgp/speaker/world.ts';

const LIMIT = {
  limit: 3,
  count: 'accepted',
  warnPercent: 50,
  action: { kind: 'stop', restartSec: 60 },
} as const;

function pair(one: PeerChange, two: PeerChange) {
  const world = new World();
  const a = world.host(1, one);
  const identity = { host: 'tor\u001b[2J', softwareVersion: 'Router/1' };
  const b = world.host(2, { passive: true, ...two }, { identity });
  a.speaker.start();
  b.speaker.start();
  return { world, a, b };
}

function viewOf({ speaker }: Host): PeerView {
  const status = speaker.peer('peer');
  assert.ok(status);
  // What a client of the API gets.
  const view: PeerView = JSON.parse(JSON.stringify(peerView(status, { resource: 'BGPPeer tor' })));
  return view;
}

function textOf(world: World, host: Host): string {
  const terminal: Terminal = {
    out: () => {},
    err: () => {},
    colour: false,
    now: () => world.clock.wallNow(),
  };
  return renderPeer(viewOf(host), terminal);
}

const areUp = (...hosts: readonly Host[]) => hosts.every((host) => stateOf(host) === 'Established');

describe('bgp peers NAME', () => {
  it('shows a session: ends, guards, terms, timers, capabilities of both sides, limits, messages', () => {
    const { world, a, b } = pair(
      {
        extendedMessages: true,
        addPath: { receive: ['ipv4'], send: ['ipv6'] },
        maxPrefixes: { ipv4: LIMIT },
        ttl: 255,
        minTtl: 254,
        requireConnected: true,
      },
      { extendedMessages: true, addPath: { send: ['ipv4'] }, role: { local: 'customer', strict: false } },
    );
    b.speaker.originate(prefix('10.1.0.0/16'));
    b.speaker.originate(prefix('10.2.0.0/16'));
    world.clock.until('routes', () => learned(a).length === 2);
    world.clock.advance(1000);
    const text = textOf(world, a);
    for (const line of [
      /^Neighbor 192\.0\.2\.2$/m,
      /^ +State +Established for 00:00:01, since 20\d\d-\d\d-\d\dT[\d:]+Z$/m,
      /^ +Remote AS +65002 \(external\), local AS 65001$/m,
      /^ +Router ID +192\.0\.2\.2, local 192\.0\.2\.1$/m,
      /^ +Sessions +came up once, went down 0 times$/m,
      /^ +Connection +192\.0\.2\.1:\d+ to 192\.0\.2\.2:179, outgoing$/m,
      /^ +Transport +TTL 255, of received packets at least 254, directly connected, no TCP MD5, dials port 179$/m,
      /^ +Agreed +4-octet AS, messages of 65535 octets, route refresh, several paths received of ipv4$/m,
      /^ +NOTIFICATION sent +none$/m,
      /^Hold +9 s +9 s +00:00:0[5-8]$/m,
      /^Keepalive +hold \/ 3 +3 s +00:00:0[01]$/m,
      /^Send hold +- +- +00:07:5\d$/m,
      /^ipv4 +yes +2 +2 +0 +0 +0 +0 +0 +yes +yes +2 of 3 accepted \(66 %, warns at 50 %\), then ends the session for 60 s$/m,
      /^Graceful Restart \(64\) +120 s ipv4-unicast(\(F\))? ipv6-unicast(\(F\))? +120 s ipv4/m,
      /^ADD-PATH \(69\) +ipv4-unicast receive ipv6-unicast send +ipv4-unicast send$/m,
      /^Role \(9\) +no +customer$/m,
      /^4-Octet AS \(65\) +65001 +65002$/m,
      // Control characters from the peer reach no terminal.
      /^FQDN \(73\) +no +tor\ufffd\[2J$/m,
      /^OPEN +1 +1$/m,
    ]) {
      assert.match(text, line);
    }
    const { capabilities, families, timers } = viewOf(a);
    const restart = capabilities.compared.find(({ code }) => code === 64);
    assert.deepEqual(restart?.received?.parameters['restartTimeSec'], 120);
    assert.equal(families.ipv4.prefixLimit?.current, 2);
    assert.equal(timers.negotiated?.holdTimeSec, 9);
  });

  it('shows why a session went, both ways, decoded', () => {
    const { world, a, b } = pair({ graceful: false }, { graceful: false });
    world.clock.until('up', () => areUp(a, b));
    b.speaker.reset('peer', 'hard');
    world.clock.until('down', () => !areUp(a));
    assert.match(textOf(world, a), /^ +Connection +none$/m);
    assert.match(textOf(world, a), /^ +Next attempt +in 00:00:0\d$/m);
    assert.match(textOf(world, a), /^Idle hold +- +- +00:00:0\d$/m);
    world.clock.until('up again', () => areUp(a, b));
    a.speaker.disable('peer', 'new cables');
    world.clock.advance(100);
    const text = textOf(world, a);
    assert.match(text, /^ +State +Idle\(Admin\) for/m);
    assert.match(
      text,
      /^ +Last reset +00:00:00 ago, by us: Cease\/Administrative Shutdown \(6\/2\): new cables/m,
    );
    assert.match(
      text,
      /^ +NOTIFICATION sent +00:00:00 ago: Cease\/Administrative Shutdown \(6\/2\): new cables/m,
    );
    assert.match(text, /^ +\.\.\. received +00:00:0\d ago: Cease\/Administrative Reset \(6\/4\)$/m);
    assert.doesNotMatch(text, /^Capability/m);
    const { sent, received } = viewOf(a).lastNotification;
    assert.deepEqual(
      [sent?.code, sent?.subcode, sent?.data, sent?.shutdownCommunication],
      [6, 2, '0a6e6577206361626c6573', 'new cables'],
    );
    assert.deepEqual([received?.code, received?.subcode, received?.data], [6, 4, '']);
    assert.deepEqual([viewOf(a).lastReset?.code, viewOf(a).lastReset?.subcode], [6, 2]);
  });

  it('calls a neighbour as FRR does: with the interface of a link-local address, or by the interface alone', () => {
    const view = viewOf(pair({}, {}).a);
    const named = (address: string, device?: string, dynamic?: true): string =>
      neighbourName({
        ...view,
        address,
        ...(dynamic && { dynamic }),
        transport: { ...view.transport, ...(device !== undefined && { interface: device }) },
      });
    assert.deepEqual(
      [
        named('192.0.2.1'),
        named('192.0.2.1', 'eth1'),
        named('fe80::1', 'eth1'),
        named('::', 'eth1'),
        named('2001:db8::1', undefined, true),
      ],
      ['192.0.2.1', '192.0.2.1', 'fe80::1%eth1', 'eth1', '*2001:db8::1'],
    );
  });

  it('compares capabilities by code: families apart, instances of one code together, unknown ones as octets', () => {
    const unknown = { kind: 'unknown', code: 200, value: Uint8Array.of(1, 255) } as const;
    const restart = (restartTimeSec: number) =>
      ({
        kind: 'graceful-restart',
        restarting: false,
        notification: false,
        restartTimeSec,
        families: [],
      }) as const;
    const ipv4 = { kind: 'multiprotocol', afi: 1, safi: 1 } as const;
    const ipv6 = { kind: 'multiprotocol', afi: 2, safi: 1 } as const;
    const rows = compareCapabilities([ipv6, ipv4, restart(1)], [ipv4, restart(2), restart(3), unknown]);
    assert.deepEqual(
      rows.map(({ name, sent, received }) => [name, sent?.text, received?.text]),
      [
        ['Multiprotocol ipv6-unicast', '', undefined],
        ['Multiprotocol ipv4-unicast', '', ''],
        ['Graceful Restart', '1 s', '2 s; 3 s'],
        ['Capability 200', undefined, '01ff'],
      ],
    );
    assert.equal(rows[2]?.received?.parameters['restartTimeSec'], 3);
    assert.deepEqual(rows[3]?.received?.parameters, { code: 200, value: '01ff' });
  });
});

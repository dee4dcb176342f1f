/** `ocicat bgp summary`: what the API answers of a speaker's life, as people read it. */
import assert from 'node:assert/strict';
import { bgpApiRoutes } from '../../../../../src/agent/bgp-routes.ts';
import type { ApiReply } from '../../../../../src/api/server.ts';
import type { BgpSummaryView } from '../../../../../src/api/views.ts';
import { renderSummary } from '../../../../../src/cli/commands/bgp-summary.ts';
import type { Terminal } from '../../../../../src/cli/output/emit.ts';
import { type Host, learned, type PeerChange, prefix, stateOf, World } from '../../../bgp/speaker/world.ts';

async function summaryOf({ speaker, config }: Host): Promise<BgpSummaryView> {
  const peers = [{ config, resource: 'BGPPeer tor', filters: [] }];
  const handler = bgpApiRoutes({ speaker, peers, ranges: [] })['GET /v1/bgp/summary'];
  const request = {
    params: {},
    query: new URLSearchParams(),
    body: undefined,
    signal: new AbortController().signal,
  };
  const reply: ApiReply | undefined = await handler?.(request);
  assert.ok(reply !== undefined && 'jsonPieces' in reply);
  const view: BgpSummaryView = JSON.parse([...reply.jsonPieces].join(''));
  return view;
}

async function textOf(world: World, host: Host, wide = false): Promise<string> {
  const terminal: Terminal = {
    out: () => {},
    err: () => {},
    colour: false,
    now: () => world.clock.wallNow(),
  };
  return renderSummary(await summaryOf(host), wide, terminal);
}

function pair(one: PeerChange = {}, two: PeerChange = {}) {
  const world = new World();
  const [a, b] = [world.host(1, one), world.host(2, two)];
  a.speaker.start();
  b.speaker.start();
  const up = (): void =>
    world.clock.until('up', () => stateOf(a) === 'Established' && stateOf(b) === 'Established', 120_000);
  up();
  return { world, a, b, up };
}

describe('bgp summary', () => {
  it('a table for each family that the session carries, with the figures of that family', async () => {
    const { world, a, b } = pair();
    for (const text of ['10.1.0.0/16', '10.2.0.0/16', '2001:db8:1::/48']) b.speaker.originate(prefix(text));
    a.speaker.originate(prefix('10.9.0.0/16'));
    world.clock.until('routes', () => learned(a).length === 3 && learned(b).length === 1);
    world.clock.advance(100);
    const text = await textOf(world, a);
    assert.match(text, /^BGP router identifier 192\.0\.2\.1, local AS number 65001\nlistening on port 179\n/);
    assert.match(text, /\nLoc-RIB prefixes: 3 IPv4, 1 IPv6\n/);
    assert.match(text, /\nIPv4 Unicast\nNeighbor +AS +MsgRcvd +MsgSent +OutQ +Up\/Down +State\/PfxRcd/);
    const [four = '', six = ''] = text.split('\n').filter((line) => line.startsWith('192.0.2.2 '));
    assert.match(four, /^192\.0\.2\.2 +65002 +\d+ +\d+ +0 +00:00:00 +2 +2 +0 +1 +BGPPeer tor$/);
    assert.match(six, /^192\.0\.2\.2 +65002 +\d+ +\d+ +0 +00:00:00 +1 +1 +0 +0 +BGPPeer tor$/);
    assert.match(text, /\n1 neighbor, 1 established\n$/);
    assert.match(
      await textOf(world, a, true),
      /Stale +Up +Down +Router ID +Resource\n.* +0 +1 +0 +192\.0\.2\.2 +BGP/,
    );
  });

  it('a session that is down stands where its address belongs, with its state and since when', async () => {
    const { world, a, b } = pair();
    b.speaker.disable('peer', '');
    world.clock.until('down', () => stateOf(a) !== 'Established');
    a.speaker.disable('peer', '');
    world.clock.advance(65_000);
    const text = await textOf(world, a);
    assert.doesNotMatch(text, /IPv6 Unicast/);
    assert.match(text, /\n192\.0\.2\.2 +65002 .* 00:01:0\d +Idle\(Admin\) /);
    assert.match(text, /\n1 neighbor, 0 established\n$/);
  });

  it('a session without a policy shows no number that nobody would use (RFC 8212)', async () => {
    const world = new World();
    const a = world.host(1);
    const { importPolicy: _, exportPolicy: __, ...bare } = a.config;
    a.speaker.setPeers([bare]);
    const b = world.host(2);
    a.speaker.start();
    b.speaker.start();
    world.clock.until('up', () => stateOf(a) === 'Established' && stateOf(b) === 'Established');
    assert.match(await textOf(world, { ...a, config: bare }), /\n192\.0\.2\.2 +65002 .* \(Policy\) /);
  });

  it('says when there is nobody, nothing to listen on, and what a restart waits for', async () => {
    const world = new World();
    const nobody = world.host(1, {}, { listen: undefined });
    nobody.speaker.setPeers([]);
    nobody.speaker.start();
    const text = await textOf(world, nobody);
    assert.match(text, /\nnot listening: peers cannot reach this node\n/);
    assert.match(text, /\nNo BGP peers/);
    const restarted = world.host(
      1,
      {},
      {
        gracefulRestart: { forwardingPreserved: { ipv4: true, ipv6: true }, deferralSec: 30 },
      },
    );
    restarted.speaker.start();
    assert.match(
      await textOf(world, restarted),
      /waiting for the peers' End-of-RIB after a restart: ipv4, ipv6\n/,
    );
  });
});

/** A peer that stops reading, over real TCP: it costs itself only, and catches up with what holds by then when it reads again. */
import assert from 'node:assert/strict';
import { Speaker } from '../../../../bgp/speaker.ts';
import type { PeerConfig } from '../../../../bgp/types.ts';
import { MESSAGE_TYPE } from '../../../../bgp/wire/registry.ts';
import type { Prefix } from '../../../../src/net/prefix.ts';
import { eventually } from '../../../support/eventually.ts';
import { RawPeer } from '../../../support/raw-peer.ts';
import { address, peerConfig } from './world.ts';

const WAIT = { timeoutMs: 60_000, intervalMs: 20 };
const HUB_AS = 65000;
const ROUTES = 40_000;
/** one write of the speaker: what may wait for a peer, whatever there is to say */
const ONE_WRITE = 65_536;
/** more than the kernel's buffers hold at 17 octets a route */
const MOST_ROUNDS = 60;

/** 2001:db8:0:0::/128 and on. */
const PREFIXES: readonly Prefix[] = Array.from({ length: ROUTES }, (_, index) => {
  const bytes = new Uint8Array(16);
  bytes.set([0x20, 0x01, 0x0d, 0xb8]);
  new DataView(bytes.buffer).setUint32(12, index);
  return { family: 'ipv6', bytes, length: 128 };
});

describe('speaker: a peer that does not read', function () {
  this.timeout(120_000);
  let hub: Speaker | undefined;
  const rawPeers: RawPeer[] = [];

  afterEach(async () => {
    for (const peer of rawPeers.splice(0)) peer.end();
    await hub?.stop({ mode: 'keep-forwarding' });
  });

  async function established(port: number, from: string, as: number): Promise<RawPeer> {
    const peer = new RawPeer({
      port,
      from,
      as,
      capabilities: [
        { kind: 'multiprotocol', afi: 2, safi: 1 },
        { kind: 'four-octet-as', as },
      ],
    });
    rawPeers.push(peer);
    peer.open();
    await eventually('the OPEN is answered', () => peer.isAnswered, WAIT);
    peer.keepalive();
    await eventually('established', () => statusOf(from).state === 'Established', WAIT);
    return peer;
  }

  function statusOf(name: string) {
    return hub?.peer(name) ?? assert.fail(`no peer ${name}`);
  }

  const updatesOf = (peer: RawPeer): number =>
    peer.received.filter((type) => type === MESSAGE_TYPE.update).length;

  it('holds up nobody else, nothing piles up for it, and it gets the latest state', async () => {
    const ports: number[] = [];
    const speaker = new Speaker({
      routerId: 0x7f3d0001,
      localAs: HUB_AS,
      listen: { port: 0, addresses: [address('127.0.0.1')] },
      nextHopTracking: false,
      gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
      log: (event) => {
        if (event.type === 'listening') ports.push(event.port);
      },
      addressesOf: () => ({
        ipv6: address('2001:db8:ffff::1'),
        peerConnected: true,
        connectedSubnets: [],
      }),
    });
    hub = speaker;
    const passive = (name: string, as: number): PeerConfig => ({
      ...peerConfig(name, name, HUB_AS, as),
      passive: true,
      holdTimeSec: 90,
    });
    speaker.setPeers([passive('127.61.0.2', 65002), passive('127.61.0.3', 65003)]);
    speaker.start();
    await eventually('listening', () => ports.length > 0, WAIT);
    const slow = await established(ports[0] ?? 0, '127.61.0.2', 65002);
    const quick = await established(ports[0] ?? 0, '127.61.0.3', 65003);

    slow.stopReading();
    const advertised = (name: string): number => statusOf(name).families.ipv6.advertised;
    let rounds = 0;
    for (let stuck = 0; stuck < 3 && rounds < MOST_ROUNDS; rounds++) {
      for (const prefix of PREFIXES) speaker.originate(prefix, { med: rounds });
      const before = updatesOf(quick);
      await eventually('the other peer has it all', () => isDone(speaker, quick, before), WAIT);
      const { outputQueued } = statusOf('127.61.0.2');
      assert.ok(outputQueued <= ONE_WRITE, `${outputQueued} octets wait`);
      stuck = outputQueued > 0 ? stuck + 1 : 0;
    }
    assert.ok(rounds < MOST_ROUNDS, 'the buffers of the kernel fill');
    assert.equal(advertised('127.61.0.3'), ROUTES);
    assert.equal(statusOf('127.61.0.2').state, 'Established');

    slow.goOnReading();
    await eventually(
      'the slow peer has caught up',
      () => statusOf('127.61.0.2').outputQueued === 0 && statusOf('127.61.0.2').families.ipv6.pending === 0,
      WAIT,
    );
    await eventually(
      'all has arrived',
      () => updatesOf(slow) === statusOf('127.61.0.2').counters.updatesSent,
      WAIT,
    );
    assert.equal(advertised('127.61.0.2'), ROUTES);
    const latest = `800404${(rounds - 1).toString(16).padStart(8, '0')}`;
    assert.ok(
      slow.lastUpdate.includes(latest),
      `MULTI_EXIT_DISC of the last round in ${slow.lastUpdate.slice(0, 200)}`,
    );
    assert.ok(updatesOf(slow) < updatesOf(quick), 'what was superseded meanwhile was not sent');
    for (const name of ['127.61.0.2', '127.61.0.3']) {
      assert.equal(statusOf(name).counters.droppedCount, 0);
    }
  });

  function isDone(speaker: Speaker, peer: RawPeer, before: number): boolean {
    return (
      updatesOf(peer) > before && !speaker.rib.hasWork && statusOf('127.61.0.3').families.ipv6.pending === 0
    );
  }
});

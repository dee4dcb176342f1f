/** Many real TCP sessions at once over the loopback interface: all come up, whoever dials first, nothing is lost, nothing flaps. */
import assert from 'node:assert/strict';
import { Speaker } from '../../../../bgp/speaker.ts';
import type { PeerConfig } from '../../../../bgp/types.ts';
import { FAMILIES } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import { eventually } from '../../../support/eventually.ts';
import type { RawPeer } from '../../../support/raw-peer.ts';
import { address, peerConfig, prefix } from './world.ts';

const WAIT = { timeoutMs: 50_000, intervalMs: 20 };
const COUNT = 50;
const HUB_AS = 65000;

/** Address and AS number of one of the many. */
const spokeAddress = (number: number): string => `127.60.0.${number}`;
const spokeAs = (number: number): number => 65100 + number;
const routesOfSpoke = (number: number): string[] => [`10.${number}.0.0/16`, `2001:db8:${number}::/48`];

function makeSpeaker(own: string, localAs: number, routerId: number, ports: number[]): Speaker {
  return new Speaker({
    routerId,
    localAs,
    listen: { port: 0, addresses: [address(own)] },
    nextHopTracking: false,
    gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
    log: (event) => {
      if (event.type === 'listening') ports.push(event.port);
    },
    addressesOf: () => ({
      ipv4: address(`198.51.${localAs >> 8}.${localAs & 255}`),
      ipv6: address(`2001:db8:ffff::${localAs.toString(16)}`),
      peerConnected: true,
      connectedSubnets: [],
    }),
  });
}

describe('speaker: many sessions at once', function () {
  this.timeout(180_000);

  const speakers: Speaker[] = [];
  const rawPeers: RawPeer[] = [];

  afterEach(async () => {
    for (const peer of rawPeers.splice(0)) peer.end();
    await Promise.all(speakers.splice(0).map((speaker) => speaker.stop({ mode: 'keep-forwarding' })));
  });

  async function listening(speaker: Speaker, ports: readonly number[]): Promise<number> {
    speakers.push(speaker);
    speaker.setPeers([]);
    speaker.start();
    await eventually('listening', () => ports.length > 0, WAIT);
    return ports[0] ?? 0;
  }

  it(`${COUNT} peers that dial while they are dialled: one session each, all routes, no flap`, async () => {
    const hubPorts: number[] = [];
    const hub = makeSpeaker('127.0.0.1', HUB_AS, 0x7f3c0019, hubPorts);
    const hubPort = await listening(hub, hubPorts);
    for (const text of ['10.0.0.0/16', '2001:db8::/48']) hub.originate(prefix(text));
    const spokes = await Promise.all(
      Array.from({ length: COUNT }, async (_, index) => {
        const number = index + 1;
        const ports: number[] = [];
        // Half of them have a lower identifier than the hub, half a higher one: either side has to give way.
        const speaker = makeSpeaker(spokeAddress(number), spokeAs(number), 0x7f3c0000 + number, ports);
        for (const text of routesOfSpoke(number)) speaker.originate(prefix(text));
        return { number, speaker, port: await listening(speaker, ports) };
      }),
    );
    const options = { ttl: 64, holdTimeSec: 90, connectRetrySec: 1 } as const;
    const towards = (
      name: string,
      port: number,
      localAs: number,
      peerAs: number,
      own: string,
    ): PeerConfig => ({
      ...peerConfig(name, name, localAs, peerAs),
      ...options,
      port,
      localAddress: address(own),
    });
    hub.setPeers(
      spokes.map(({ number, port }) =>
        towards(spokeAddress(number), port, HUB_AS, spokeAs(number), '127.0.0.1'),
      ),
    );
    for (const { number, speaker } of spokes) {
      speaker.setPeers([towards('127.0.0.1', hubPort, spokeAs(number), HUB_AS, spokeAddress(number))]);
    }

    await eventually(
      'all are established',
      () => hub.peers().every(({ state }) => state === 'Established'),
      WAIT,
    );
    const all = ['10.0.0.0/16', '2001:db8::/48', ...spokes.flatMap(({ number }) => routesOfSpoke(number))];
    for (const { number, speaker } of spokes) {
      const own = routesOfSpoke(number);
      const wanted = all.filter((text) => !own.includes(text)).sort();
      await eventually(
        `${spokeAddress(number)} has the routes of all`,
        () => {
          assert.deepEqual(routesOf(speaker), wanted);
          return true;
        },
        WAIT,
      );
      const { counters } = speaker.peer('127.0.0.1') ?? assert.fail('no peer');
      assert.deepEqual([counters.establishedCount, counters.droppedCount], [1, 0]);
    }
    for (const { counters } of hub.peers()) {
      assert.deepEqual([counters.establishedCount, counters.droppedCount], [1, 0]);
    }

    // One goes, and only its routes go.
    const [first, ...others] = spokes;
    await first?.speaker.stop({ mode: 'shutdown' });
    const gone = routesOfSpoke(first?.number ?? 0);
    for (const { number, speaker } of others) {
      const own = routesOfSpoke(number);
      const wanted = all.filter((text) => !own.includes(text) && !gone.includes(text)).sort();
      await eventually('the others keep theirs', () => routesOf(speaker).join() === wanted.join(), WAIT);
      assert.equal(speaker.peer('127.0.0.1')?.counters.droppedCount, 0);
    }
  });
});

function routesOf(speaker: Speaker): string[] {
  const found: string[] = [];
  for (const family of FAMILIES) {
    for (const { source, best, prefix } of speaker.rib.routes({ family })) {
      if (source.kind === 'peer' && best) found.push(formatPrefix(prefix));
    }
  }
  return found.sort();
}

/** Our own speaker in the place of the router of the matrix. */
import type { PeerConfig } from '../../bgp/types.ts';
import { parseAddress } from '../../src/net/address.ts';
import type { MatrixConfig, MatrixRoute } from './matrix-routers.ts';
import type { Netns } from './netns.ts';
import { SpeakerProcess } from './speaker-process.ts';

export class OurRouter {
  readonly kind = 'ourselves';
  readonly #netns: Netns;
  readonly #config: MatrixConfig;
  #process: SpeakerProcess | undefined;

  constructor(netns: Netns, config: MatrixConfig) {
    this.#netns = netns;
    this.#config = config;
  }

  async start(): Promise<void> {
    const config = this.#config;
    const octets = parseAddress(config.routerId)?.bytes ?? Uint8Array.of(1, 1, 1, 1);
    const { passive = false, holdTimeSec = 3 } = config;
    this.#process = await SpeakerProcess.start(this.#netns, {
      routerId: new DataView(octets.buffer).getUint32(0),
      localAs: config.as,
      listenPort: 179,
      preserved: true,
      peers: [
        {
          address: config.neighbour,
          localAs: config.as,
          peerAs: config.neighbourAs,
          passive,
          holdTimeSec,
          ttl: config.as === config.neighbourAs ? 64 : 1,
          extra: extraOf(config),
        },
      ],
      originate: [],
    });
    for (const { prefix, communities, largeCommunities } of config.announce) {
      await this.#process.request({
        method: 'originate-with',
        prefixes: [prefix],
        ...(communities && { communities: communities.map(communityOf) }),
        ...(largeCommunities && { largeCommunities: largeCommunities.map(largeOf) }),
      });
    }
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  dispose(): void {}

  async isUp(): Promise<boolean> {
    return (await this.#process?.peer(this.#config.neighbour))?.state === 'Established';
  }

  async paths(prefix: string): Promise<readonly MatrixRoute[]> {
    const found = (await this.#process?.details(prefix)) ?? [];
    return found.map(({ asPath, nextHop, communities }) => ({
      asPath,
      nextHop,
      communities: communities.map((value) => `${value >>> 16}:${value & 0xffff}`),
    }));
  }

  async count(): Promise<number> {
    const status = await this.#process?.peer(this.#config.neighbour);
    return (status?.families.ipv4.received ?? 0) + (status?.families.ipv6.received ?? 0);
  }

  refresh = async (): Promise<void> => {
    await this.#process?.request({ method: 'reset', peer: this.#config.neighbour, kind: 'soft-in' });
  };

  async log(): Promise<string> {
    return JSON.stringify(this.#process?.events ?? []);
  }
}

function extraOf(
  config: MatrixConfig,
): Omit<Partial<PeerConfig>, 'address' | 'localAddress' | 'importPolicy' | 'exportPolicy'> {
  const { restartTimeSec, longLivedSec, role, password } = config;
  return {
    enhancedRouteRefresh: true,
    extendedMessages: true,
    ...(password !== undefined && { password }),
    ...(config.interface !== undefined && { interface: config.interface }),
    ...(restartTimeSec !== undefined && {
      gracefulRestart: { restartTimeSec, maxHelperTimeSec: 60, notification: true },
    }),
    ...(longLivedSec !== undefined && {
      longLivedGracefulRestart: { staleTimeSec: longLivedSec, maxHelperTimeSec: 60 },
    }),
    ...(config.addPath && { addPath: { send: ['ipv4', 'ipv6'], receive: ['ipv4', 'ipv6'] } }),
    ...(config.bfdStrict && {
      bfd: { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: false, strict: true },
    }),
    ...(config.extendedNextHop && { extendedNextHop: true }),
    ...(role !== undefined && { role: { local: role, strict: false } }),
  };
}

function communityOf(text: string): number {
  const [high = 0, low = 0] = text.split(':').map(Number);
  return ((high << 16) | low) >>> 0;
}

function largeOf(text: string): { global: number; local1: number; local2: number } {
  const [global = 0, local1 = 0, local2 = 0] = text.split(':').map(Number);
  return { global, local1, local2 };
}

/** Two speakers with an in-memory network between them. */
import type { SpeakerEvent } from '../../../../bgp/speaker/events.ts';
import { Speaker, type SpeakerOptions } from '../../../../bgp/speaker.ts';
import type { PeerConfig } from '../../../../bgp/types.ts';
import { type Address, FAMILIES, parseAddress } from '../../../../src/net/address.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../../../../src/net/prefix.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { MemoryInternet, type MemoryInternetOptions } from '../../../support/memory-network.ts';

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`no prefix: ${text}`);
  return parsed;
}

const ACCEPT_ALL = { name: 'all', rules: [], fallThrough: 'accept' } as const;

/** One host's configuration of its peer. */
export function peerConfig(name: string, peer: string, localAs: number, peerAs: number): PeerConfig {
  return {
    name,
    address: address(peer),
    port: 179,
    localAs,
    peerAs,
    passive: false,
    adminDown: false,
    holdTimeSec: 9,
    connectRetrySec: 1,
    connectRetryMaxSec: 4,
    ttl: 64,
    families: FAMILIES,
    gracefulRestart: { restartTimeSec: 120, maxHelperTimeSec: 120 },
    importPolicy: ACCEPT_ALL,
    exportPolicy: ACCEPT_ALL,
    nextHop: 'auto',
    allowOwnAs: 0,
  };
}

/** What differs from `peerConfig`; `graceful: false` offers no graceful restart. */
export type PeerChange = Partial<PeerConfig> & { readonly graceful?: boolean };

export interface Host {
  readonly speaker: Speaker;
  readonly events: SpeakerEvent[];
  readonly config: PeerConfig;
}

/** Small seeded generator: the same seed, the same run. */
export function randomOf(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    state = Math.imul(state ^ (state >>> 12), 0x297a2d39);
    state ^= state >>> 15;
    return (state >>> 0) / 4294967296;
  };
}

export class World {
  readonly clock = new FakeClock();
  readonly internet: MemoryInternet;
  readonly #random: () => number;

  constructor(options: Partial<MemoryInternetOptions> = {}, seed = 1) {
    this.internet = new MemoryInternet({ clock: this.clock, ...options });
    this.#random = randomOf(seed);
  }

  /** Makes host 1 or 2 (AS 65001 or 65002, 192.0.2.1 or .2) with the other as its peer; not started. */
  host(number: 1 | 2, peer: PeerChange = {}, options: Partial<SpeakerOptions> = {}): Host {
    const { graceful = true, ...change } = peer;
    const other = 3 - number;
    const events: SpeakerEvent[] = [];
    const own = address(`192.0.2.${number}`);
    const { gracefulRestart, ...base } = peerConfig(
      'peer',
      `192.0.2.${other}`,
      65000 + number,
      65000 + other,
    );
    const config = { ...base, ...(graceful && gracefulRestart && { gracefulRestart }), ...change };
    const speaker = new Speaker({
      routerId: 0xc0000200 + number,
      localAs: 65000 + number,
      listen: { port: 179, addresses: [own] },
      nextHopTracking: false,
      gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
      log: (event) => events.push(event),
      clock: this.clock,
      random: this.#random,
      network: this.internet.host(own),
      addressesOf: (local) => ({
        ipv4: local,
        ipv6: address(`2001:db8::${number}`),
        peerConnected: true,
        connectedSubnets: [],
      }),
      ...options,
    });
    speaker.setPeers([config]);
    return { speaker, events, config };
  }
}

/** State of the one peer. */
export function stateOf({ speaker }: Host): string {
  return speaker.peer('peer')?.state ?? 'none';
}

/** Texts of the prefixes that a host has learned and uses, sorted. */
export function learned({ speaker }: Host): string[] {
  const found: string[] = [];
  for (const family of FAMILIES) {
    for (const path of speaker.rib.routes({ family })) {
      if (path.source.kind === 'peer' && path.best) found.push(formatPrefix(path.prefix));
    }
  }
  return found.sort();
}

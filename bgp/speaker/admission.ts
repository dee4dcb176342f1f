/** Who may become a peer by dialling us: strangers out of the prefixes that are open to them, as long as there is room. */
import { type Address, formatAddress } from '../../src/net/address.ts';
import type { Channel, PeerKey } from '../transport/channel.ts';
import type { Clock } from '../transport/clock.ts';
import type { DynamicPeers, PeerConfig } from '../types.ts';
import { encodeNotification, notification } from '../wire/notification.ts';
import { CEASE, ERROR } from '../wire/registry.ts';
import { dynamicConfig, groupKey, groupOf, groupText } from './dynamic-peers.ts';
import type { SpeakerLog } from './events.ts';
import type { Peer } from './peer.ts';
import { needsScope } from './peer-key.ts';
import { RateLimit } from './rate-limit.ts';

/** Log lines on connections from strangers: this many at once, then one in this time. */
const REFUSED_BURST = 5;
const REFUSED_INTERVAL_MS = 60_000;
/** Time for a NOTIFICATION to be read by somebody who does not become a peer. */
const REJECT_DRAIN_MS = 1_000;

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly log: SpeakerLog;
  /** whether anybody new is let in at this moment */
  readonly isOpen: () => boolean;
  /** what keeps this MD5 key from the sockets: without it anybody could dial in the peer's name */
  readonly keyProblem: (key: PeerKey) => string | undefined;
  /** makes a peer and starts it; `admit` is called before it starts */
  readonly add: (config: PeerConfig, admit: (peer: Peer) => void) => Peer;
  readonly remove: (peer: Peer) => void;
}

/** Owns the prefixes, and knows which peers came out of which. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #refused: RateLimit;
  readonly #admitted = new Map<Peer, DynamicPeers>();
  #groups: readonly DynamicPeers[] = [];

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#refused = new RateLimit(options.clock, REFUSED_BURST, REFUSED_INTERVAL_MS);
  }

  /** The prefixes, with what peers out of them are like. */
  get groups(): readonly DynamicPeers[] {
    return this.#groups;
  }

  /** Where a peer came from that came by itself; undefined: it is a configured one. */
  groupOf(peer: Peer): DynamicPeers | undefined {
    return this.#admitted.get(peer);
  }

  /** Makes these the prefixes: peers whose prefix is gone are removed; `update` changes the others. */
  setGroups(groups: readonly DynamicPeers[], update: (peer: Peer, config: PeerConfig) => void): void {
    this.#groups = groups;
    for (const peer of [...this.#admitted.keys()]) {
      const { address, interface: device } = peer.config;
      const group = groupOf(groups, address);
      if (group === undefined) {
        this.#options.remove(peer);
        continue;
      }
      this.#admitted.set(peer, group);
      update(peer, dynamicConfig(group, address, device));
    }
  }

  /** The peer is gone. */
  forget(peer: Peer): void {
    this.#admitted.delete(peer);
  }

  /** Makes a peer of a stranger where that may be; undefined: the connection has been refused. */
  welcome(channel: Channel): Peer | undefined {
    const group = groupOf(this.#groups, channel.remoteAddress);
    const key = group && groupKey(group);
    const isOpen =
      this.#options.isOpen() && (key === undefined || this.#options.keyProblem(key) === undefined);
    if (group === undefined || !isOpen) {
      this.refuse(channel);
      return undefined;
    }
    const count = [...this.#admitted.values()].filter(({ name }) => name === group.name).length;
    if (count < group.limit) return this.#admit(group, channel.remoteAddress, channel.remoteInterface);
    this.#reject(channel, group);
    return undefined;
  }

  /** A connection from a stranger is closed without a word: an answer would only help who scans. */
  refuse(channel: Channel): void {
    const { remoteAddress: address, remotePort: port } = channel;
    const suppressed = this.#refused.take();
    if (suppressed !== undefined) this.#options.log({ type: 'refused', address, port, suppressed });
    channel.destroy();
  }

  /** Removes, in the next turn, peers that came by themselves, have no connection and left no routes behind. */
  sweepSoon(): void {
    if (this.#admitted.size > 0) this.#options.clock.soon(() => this.#sweep());
  }

  #sweep(): void {
    for (const peer of [...this.#admitted.keys()]) {
      const { base, connections, parked, stale, admin, linkDown } = peer.session;
      const waits = base === 'Idle' && admin === 'up' && linkDown === undefined;
      if (connections.length > 0 || parked !== undefined || stale.length > 0 || waits) continue;
      // One that was stopped by hand, or for its prefixes, stays to be seen.
      if (admin === 'up') this.#options.remove(peer);
    }
  }

  #admit(group: DynamicPeers, address: Address, interfaceName: string | undefined): Peer {
    const device = needsScope(address) ? interfaceName : group.template.interface;
    return this.#options.add(dynamicConfig(group, address, device), (peer) =>
      this.#admitted.set(peer, group),
    );
  }

  /** RFC 4486 4: who would be welcome is told 6/5, as often as the log. */
  #reject(channel: Channel, group: DynamicPeers): void {
    if (this.#refused.take() === undefined) {
      channel.destroy();
      return;
    }
    const message = `${formatAddress(channel.remoteAddress)} is refused: ${groupText(group)} has its ${group.limit} peers`;
    this.#options.log({ type: 'warning', peer: undefined, message });
    channel.write(encodeNotification(notification(ERROR.cease, CEASE.connectionRejected)), () => {});
    channel.finish(REJECT_DRAIN_MS);
  }
}

/**
 * A BGP speaker: peers, their sessions and one RIB. It knows nothing of the kernel's routing table; whoever wants routes there subscribes to
 * the RIB. Needs no privilege but for a port below 1024.
 */
import { FAMILIES, type Family } from '../src/net/address.ts';
import type { Prefix } from '../src/net/prefix.ts';
import { diagnosticText } from './bfd/packet.ts';
import type { BfdStateChange } from './bfd/types.ts';
import { Rib } from './rib/rib.ts';
import type { ResetRecord } from './session/state.ts';
import { Admission } from './speaker/admission.ts';
import { BfdLink, bfdStateOf, isFailure } from './speaker/bfd-link.ts';
import type { MessageWatcher } from './speaker/capture.ts';
import { checkPeers } from './speaker/config.ts';
import { Drain, type ServiceState } from './speaker/drain.ts';
import { checkGroups, groupKey, groupKeys } from './speaker/dynamic-peers.ts';
import type { SpeakerLog } from './speaker/events.ts';
import { LinkGuard } from './speaker/link-guard.ts';
import { type ListenConfig, Listeners } from './speaker/listeners.ts';
import type { ResetKind, SpeakerOptions, StopMode } from './speaker/options.ts';
import { Peer } from './speaker/peer.ts';
import { peerKey } from './speaker/peer-key.ts';
import type { PeerSurroundings } from './speaker/peer-surroundings.ts';
import { SelectionWait } from './speaker/selection-wait.ts';
import { peerStatus } from './speaker/status.ts';
import { WorkLoop } from './speaker/work-loop.ts';
import type { Channel } from './transport/channel.ts';
import { type Clock, systemClock } from './transport/clock.ts';
import { sessionAddresses } from './transport/host-addresses.ts';
import { tcpNetwork } from './transport/tcp.ts';
import type { DynamicPeers, PeerConfig, PeerStatus } from './types.ts';
import { CEASE } from './wire/registry.ts';
import type { PathAttributes } from './wire/types.ts';

export type { ResetKind, SpeakerOptions, StopMode } from './speaker/options.ts';

/** Time for NOTIFICATIONs to be read before `stop` returns. */
const SHUTDOWN_DRAIN_MS = 1_100;

export class Speaker {
  /** routes: for inspection, subscription and next-hop states */
  readonly rib: Rib;
  /** our BGP identifier, unsigned 32-bit */
  readonly routerId: number;
  readonly localAs: number;
  readonly #log: SpeakerLog;
  readonly #clock: Clock;
  readonly #loop: WorkLoop;
  readonly #listeners: Listeners;
  readonly #listen: ListenConfig | undefined;
  readonly #around: PeerSurroundings;
  readonly #wait: SelectionWait;
  readonly #bfd: BfdLink;
  readonly #links: LinkGuard;
  readonly #drain: Drain;
  readonly #peers = new Map<string, Peer>();
  readonly #byAddress = new Map<string, Peer>();
  readonly #admission: Admission;
  #started = false;
  #configured = false;
  #isChanging = false;
  #stopped = false;

  constructor(options: SpeakerOptions) {
    const { routerId, localAs, log, clock = systemClock } = options;
    this.routerId = routerId;
    this.localAs = localAs;
    this.#log = log;
    this.#clock = clock;
    this.#listen = options.listen;
    this.rib = new Rib({
      localAs,
      routerId,
      maxPaths: options.maxPaths ?? 1,
      relaxAsPath: options.relaxAsPath ?? false,
      alwaysCompareMed: options.alwaysCompareMed ?? false,
      compareRouterId: options.compareRouterId ?? false,
      trackNextHops: options.nextHopTracking,
      ...(options.clusterId !== undefined && { clusterId: options.clusterId }),
      onWork: () => this.#loop.request(),
    });
    this.#loop = new WorkLoop(clock, this.rib);
    const network =
      options.network ?? tcpNetwork((message) => log({ type: 'warning', peer: undefined, message }));
    this.#listeners = new Listeners({ clock, network, log, onAccept: (channel) => this.#accept(channel) });
    this.#admission = new Admission({
      clock,
      log,
      isOpen: () => this.#started && !this.#stopped && this.#drain.state !== 'drained',
      keyProblem: (key) => this.#listeners.keyProblem(key),
      add: (config, admit) => {
        const peer = this.#addPeer(config);
        admit(peer);
        this.#startPeer(peer);
        return peer;
      },
      remove: (peer) => {
        if (!this.#stopped) this.#removePeer(peer);
      },
    });
    this.#bfd = new BfdLink({
      load: options.loadBfd,
      warn: (message) => log({ type: 'warning', peer: undefined, message }),
      onState: (name, change) => this.#bfdChanged(name, change),
    });
    this.#links = new LinkGuard({
      links: options.links,
      onState: (name, problem) => {
        if (!this.#stopped) this.#peers.get(name)?.linkIs(problem);
      },
    });
    const peers = () => this.#peers.values();
    this.#drain = new Drain({
      clock,
      log,
      tag: (on) => this.rib.setDraining(on),
      peers,
    });
    const { forwardingPreserved: preserved, deferralSec } = options.gracefulRestart;
    this.#wait = new SelectionWait({
      clock,
      rib: this.rib,
      loop: this.#loop,
      log,
      preserved,
      deferralSec,
      peers,
    });
    this.#around = {
      routerId,
      clock,
      random: options.random ?? Math.random,
      network,
      rib: this.rib,
      loop: this.#loop,
      log,
      addressesOf: options.addressesOf ?? sessionAddresses,
      restartFlags: () => this.#wait.flags,
      bfdOf: (name) => this.#bfd.stateOf(name),
      identity: options.identity,
      onProgress: () => {
        this.#checkDeferral();
        this.#admission.sweepSoon();
      },
    };
  }

  /** Opens the listening sockets and starts the peers. Never fails: a port that is taken is told of and tried again. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    if (this.#listen !== undefined) this.#listeners.start(this.#listen);
    this.#wait.start();
    if (this.#configured) this.#startPeers(this.#peers.values());
  }

  /** Ends every session and closes every socket. The speaker cannot be started again. */
  async stop(how: StopMode): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wait.stop();
    this.#drain.stop();
    this.#links.close();
    const closed = this.#listeners.close();
    if (how.mode === 'shutdown') {
      const wasUp = [...this.#peers.values()].some(({ session }) => session.connections.length > 0);
      for (const peer of this.#peers.values()) peer.disable(how.text ?? '');
      if (wasUp) await new Promise<void>((resolve) => this.#clock.after(SHUTDOWN_DRAIN_MS, resolve));
    }
    for (const peer of this.#peers.values()) peer.abandon();
    this.#loop.stop();
    await Promise.all([closed, this.#bfd.close()]);
  }

  /** Ports on which peers can reach us now. */
  get listeningPorts(): readonly number[] {
    return this.#listeners.ports;
  }

  /** What keeps peers with TCP MD5 keys from reaching us, a line each; tried again with back-off. */
  get keyProblems(): readonly string[] {
    return this.#listeners.keyProblems;
  }

  /**
   * Makes these the peers: those not named any more go with 6/3, new ones come, changed ones change under their session where possible and
   * are reset (6/6) where not. Throws a PeerConfigError, and changes nothing, when one cannot be used.
   */
  setPeers(configs: readonly PeerConfig[]): void {
    checkPeers(configs);
    // A peer that goes may come again under another address: selection waits for it.
    this.#isChanging = true;
    const resets = new Map<string, ResetRecord | undefined>();
    const wanted = new Map(configs.map((config) => [config.name, config]));
    for (const peer of [...this.#peers.values()]) {
      const config = wanted.get(peer.config.name);
      const isDynamic = this.#admission.groupOf(peer) !== undefined;
      if (isDynamic && config === undefined) continue;
      if (config === undefined || keyOf(config) !== keyOf(peer.config) || isDynamic) {
        this.#removePeer(peer);
        resets.set(peer.config.name, peer.session.lastReset);
      }
    }
    for (const config of configs) {
      const rival = this.#byAddress.get(keyOf(config));
      if (rival !== undefined && this.#admission.groupOf(rival) !== undefined) this.#removePeer(rival);
    }
    const added: Peer[] = [];
    for (const config of configs) {
      const existing = this.#peers.get(config.name);
      if (existing !== undefined) {
        this.#updatePeer(existing, config);
        continue;
      }
      added.push(this.#addPeer(config, resets.get(config.name)));
    }
    this.#prepareListeners();
    this.#configured = true;
    this.#isChanging = false;
    if (this.#started) this.#startPeers(added);
  }

  /**
   * Makes these the prefixes from which peers may come by themselves. Peers whose prefix is gone go with 6/3; the others change as by `setPeers`.
   * A configured peer comes first. Throws a PeerConfigError, and changes nothing, when one cannot be used.
   */
  setDynamicPeers(groups: readonly DynamicPeers[]): void {
    checkGroups(groups);
    this.#admission.setGroups(groups, (peer, config) => this.#updatePeer(peer, config));
    this.#prepareListeners();
  }

  /**
   * RFC 8326: takes the traffic off this speaker. Everything that is sent carries 65535:0 from now on (and LOCAL_PREF 0 on iBGP), so that the
   * peers find other ways; after `waitSec` all sessions end with 6/2 and a text of at most 255 octets, and stay down until `undrain`.
   */
  drain(how: { readonly waitSec: number; readonly text?: string }): void {
    if (!this.#stopped) this.#drain.begin(how.waitSec, how.text ?? '');
  }

  /** Puts the speaker back into service. */
  undrain(): void {
    if (!this.#stopped) this.#drain.undo();
  }

  /** Whether it is in service, and what its peers are told of it if not. */
  get service(): { readonly state: ServiceState; readonly text: string } {
    return { state: this.#drain.state, text: this.#drain.text };
  }

  /** Lifts an administrative stop. False when there is no such peer. */
  enable(name: string): boolean {
    return this.#with(name, (peer) => peer.enable());
  }

  /** Cease 6/2 with a text (RFC 9003), then Idle(Admin) until `enable`. False when there is no such peer. */
  disable(name: string, text = ''): boolean {
    return this.#with(name, (peer) => peer.disable(text));
  }

  /**
   * Resets a peer; a hard reset tells it `text` (RFC 9003), of at most 255 octets. False when there is no such peer. Soft resets of a peer that is
   * not up do nothing.
   */
  reset(name: string, kind: ResetKind, text = ''): boolean {
    return this.#with(name, (peer) => {
      if (kind === 'hard') {
        peer.reset(CEASE.administrativeReset, 'administratively reset', text);
        return;
      }
      for (const family of FAMILIES) {
        if (kind === 'soft-in') peer.requestRefresh(family);
        else if (peer.negotiated?.context.families[family]) this.rib.refresh(peer.ribId, family);
      }
    });
  }

  /** Originates a route, or changes its attributes. `link`: the interface that it leads to, for export rules that ask for it. */
  originate(prefix: Prefix, attributes: Partial<PathAttributes> = {}, link?: string): void {
    this.rib.originate(prefix, attributes, this.#clock.wallNow(), link);
  }

  /** Withdraws a route that `originate` made; false when there is none. */
  withdraw(prefix: Prefix): boolean {
    return this.rib.withdraw(prefix);
  }

  /** All peers, in the order in which they were configured. */
  peers(): PeerStatus[] {
    return [...this.#peers.values()].map((peer) => this.#statusOf(peer));
  }

  /** Names of all peers, in the same order: for whoever asks for one after the other while the event loop turns. */
  peerNames(): string[] {
    return [...this.#peers.keys()];
  }

  /** Somebody waits for the event loop, with an answer to give: the next few turns of routes are short. */
  hurry(): void {
    this.#loop.hurry();
  }

  /** One peer, or undefined when there is none of that name. */
  peer(name: string): PeerStatus | undefined {
    const peer = this.#peers.get(name);
    return peer && this.#statusOf(peer);
  }

  /**
   * Shows every message of a peer as it comes and goes, from now on; returns how to end that. Undefined when there is no such peer. A peer that is
   * removed shows nothing more.
   */
  watch(name: string, watcher: MessageWatcher): (() => void) | undefined {
    return this.#peers.get(name)?.watch(watcher);
  }

  /** The RIB's id of a peer, for `rib.received` and `rib.advertised`. */
  ribPeerId(name: string): number | undefined {
    return this.#peers.get(name)?.ribId;
  }

  /**
   * Calls once for each family when its routes have been selected for the first time, at once for those that already are: from then on a
   * route in the kernel that is not selected is a leftover. Families without anything preserved are done right after `start`.
   */
  onDeferralEnd(listener: (family: Family) => void): void {
    this.#wait.onEnd(listener);
  }

  /** Families whose route selection still waits for the peers. */
  get deferred(): readonly Family[] {
    return this.#wait.pending;
  }

  #with(name: string, act: (peer: Peer) => void): boolean {
    const peer = this.#peers.get(name);
    if (peer === undefined) return false;
    act(peer);
    return true;
  }

  #statusOf(peer: Peer): PeerStatus {
    return peerStatus(peer, this.rib, this.#clock, {
      dynamic: this.#admission.groupOf(peer)?.name,
      bfd: this.#bfd.status(peer.config.name),
      problem:
        peer.negotiated === undefined ? (this.#keyProblem(peer) ?? peer.session.linkDown?.reason) : undefined,
    });
  }

  /** Without the key on the socket anybody could dial in the peer's name. */
  #keyProblem(peer: Peer): string | undefined {
    const { address, interface: device, password } = peer.config;
    if (password === undefined) return undefined;
    const group = this.#admission.groupOf(peer);
    const key = group === undefined ? { address, interface: device } : groupKey(group);
    return key && this.#listeners.keyProblem(key);
  }

  /** RFC 5882 4.3: what BFD saw fail, BGP need not wait for. */
  #bfdChanged(name: string, change: BfdStateChange): void {
    const peer = this.#peers.get(name);
    if (peer === undefined || this.#stopped) return;
    const diagnostic = diagnosticText(change.diagnostic);
    this.#log({ type: 'bfd', peer: name, change, diagnostic });
    if (isFailure(change) && peer.session.connections.length > 0) {
      peer.reset(CEASE.bfdDown, `BFD went down: ${diagnostic}`);
    }
    peer.bfdIs(bfdStateOf(change.to, change.remoteState));
    // What kept the session down is over: no need to wait out IdleHold.
    if (change.to === 'Up') peer.resumeAfter(CEASE.bfdDown);
  }

  #startPeers(peers: Iterable<Peer>): void {
    for (const peer of peers) this.#startPeer(peer);
    this.#drain.apply();
    this.#wait.begin();
  }

  #startPeer(peer: Peer): void {
    this.#links.apply(peer.config);
    peer.start();
    this.#bfd.apply(peer.config);
  }

  #updatePeer(peer: Peer, config: PeerConfig): void {
    peer.update(config);
    this.#links.apply(config);
    if (this.#started) this.#bfd.apply(config);
  }

  #addPeer(config: PeerConfig, lastReset?: ResetRecord): Peer {
    const peer = new Peer(config, this.#around, lastReset);
    this.#peers.set(config.name, peer);
    this.#byAddress.set(keyOf(config), peer);
    return peer;
  }

  /** What peers need of the sockets that they dial: TTL 255, keys. */
  #prepareListeners(): void {
    const configs = [...this.#peers.values()].map(({ config }) => config);
    const ttls = [...configs, ...this.#admission.groups.map(({ template }) => template)];
    if (ttls.some(({ ttl }) => ttl > 64)) this.#listeners.raiseTtl();
    const keys = configs.flatMap(({ address, interface: device, password }) =>
      password === undefined ? [] : [{ address, interface: device, password }],
    );
    this.#listeners.setKeys([...groupKeys(this.#admission.groups), ...keys]);
  }

  #removePeer(peer: Peer): void {
    this.#peers.delete(peer.config.name);
    this.#byAddress.delete(keyOf(peer.config));
    this.#admission.forget(peer);
    this.#bfd.remove(peer.config.name);
    this.#links.remove(peer.config.name);
    this.#drain.forget(peer);
    peer.remove();
    this.#checkDeferral();
  }

  #accept(channel: Channel): void {
    const { remoteAddress, remoteInterface } = channel;
    const known = this.#byAddress.get(peerKey(remoteAddress, remoteInterface));
    const peer = known ?? this.#admission.welcome(channel);
    if (peer === undefined) return;
    if (this.#stopped || this.#keyProblem(peer) !== undefined) this.#admission.refuse(channel);
    else peer.accept(channel);
  }

  #checkDeferral(): void {
    if (!this.#stopped && !this.#isChanging) this.#wait.check();
  }
}

function keyOf({ address, interface: device }: PeerConfig): string {
  return peerKey(address, device);
}

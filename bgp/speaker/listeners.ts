/** The sockets on which peers reach us, shared by all of them; a socket that cannot be had is tried again with back-off. */
import { type Address, FAMILIES, formatAddress } from '../../src/net/address.ts';
import type { Channel, ListenAddress, Listener, Network, PeerKey } from '../transport/channel.ts';
import type { Clock, TimerHandle } from '../transport/clock.ts';
import type { SpeakerLog } from './events.ts';
import { peerKey } from './peer-key.ts';

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** Where to listen: a port (0: any free one, for tests), on these addresses or on all of both families. */
export interface ListenConfig {
  readonly port: number;
  readonly addresses?: readonly Address[];
}

export interface ListenersOptions {
  readonly clock: Clock;
  readonly network: Network;
  readonly log: SpeakerLog;
  readonly onAccept: (channel: Channel) => void;
}

interface FailedKey {
  readonly key: PeerKey;
  readonly problem: string;
}

interface Place {
  readonly address: ListenAddress;
  listener: Listener | undefined;
  port: number | undefined;
  retry: TimerHandle | undefined;
  delayMs: number;
}

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #places: Place[] = [];
  #port = 0;
  #raised = false;
  #keys: ReadonlyMap<string, PeerKey> = new Map();
  /** keys that a socket did not take, or did not give back */
  readonly #failed = new Map<string, FailedKey>();
  #keyRetry: TimerHandle | undefined;
  #keyDelayMs = RETRY_MIN_MS;
  #closed = false;

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Ports on which connections are accepted now. */
  get ports(): readonly number[] {
    return this.#places.flatMap(({ port }) => (port === undefined ? [] : [port]));
  }

  start(config: ListenConfig): void {
    this.#port = config.port;
    const addresses: readonly ListenAddress[] = config.addresses ?? FAMILIES.map((any) => ({ any }));
    for (const address of addresses) {
      const place: Place = {
        address,
        listener: undefined,
        port: undefined,
        retry: undefined,
        delayMs: RETRY_MIN_MS,
      };
      this.#places.push(place);
      this.#open(place);
    }
  }

  /** A peer requires TTL 255 of our answers. */
  raiseTtl(): void {
    this.#raised = true;
    for (const { listener, port } of this.#places) if (port !== undefined) listener?.raiseTtl();
  }

  /** Makes these the MD5 keys of the peers, on every socket; sockets that come later get them too. */
  setKeys(keys: readonly PeerKey[]): void {
    const wanted = new Map(keys.map((key) => [keyName(key), key]));
    const changes: PeerKey[] = [];
    for (const [name, key] of this.#keys) {
      if (!wanted.has(name)) changes.push({ ...key, password: undefined });
    }
    for (const [name, key] of wanted) {
      if (this.#keys.get(name)?.password !== key.password) changes.push(key);
    }
    this.#keys = wanted;
    this.#applyAll(changes);
  }

  /** What is wrong with the keys of the sockets, a line each; tried again with back-off. */
  get keyProblems(): readonly string[] {
    return [...this.#failed.values()].map(({ problem }) => problem);
  }

  /** Why connections with this key cannot be told from others: until that is mended none may be taken. */
  keyProblem(key: Omit<PeerKey, 'password'>): string | undefined {
    return this.#failed.get(keyName(key))?.problem;
  }

  #applyAll(keys: readonly PeerKey[]): void {
    const before = new Map(keys.map((key) => [keyName(key), this.#failed.get(keyName(key))]));
    for (const name of before.keys()) this.#failed.delete(name);
    for (const place of this.#places) if (place.port !== undefined) this.#apply(place, keys, before);
    this.#planRetry();
  }

  #apply(
    place: Place,
    keys: readonly PeerKey[],
    before: ReadonlyMap<string, FailedKey | undefined> = new Map(),
  ): void {
    for (const key of keys) {
      const why = place.listener?.setKey(key);
      if (why === undefined) continue;
      const { address, prefixLength } = key;
      const peer = `${formatAddress(address)}${prefixLength === undefined ? '' : `/${prefixLength}`}`;
      const problem = `listening on ${textOf(place.address)}, peer ${peer}: ${why}`;
      const name = keyName(key);
      this.#failed.set(name, { key, problem });
      if (before.get(name)?.problem !== problem)
        this.#options.log({ type: 'warning', peer: undefined, message: problem });
    }
  }

  #planRetry(): void {
    if (this.#failed.size === 0) this.#keyDelayMs = RETRY_MIN_MS;
    if (this.#failed.size === 0 || this.#keyRetry !== undefined || this.#closed) return;
    this.#keyRetry = this.#options.clock.after(this.#keyDelayMs, () => {
      this.#keyRetry = undefined;
      this.#keyDelayMs = Math.min(this.#keyDelayMs * 2, RETRY_MAX_MS);
      this.#applyAll([...this.#failed.values()].map(({ key }) => key));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#keyRetry?.cancel();
    for (const place of this.#places) place.retry?.cancel();
    await Promise.all(this.#places.map((place) => place.listener?.close()));
  }

  #open(place: Place): void {
    const { clock, network, log, onAccept } = this.#options;
    place.listener = network.listen(place.address, this.#port, {
      onListening: (port) => {
        place.port = port;
        place.delayMs = RETRY_MIN_MS;
        if (this.#raised) place.listener?.raiseTtl();
        this.#apply(place, [...this.#keys.values()]);
        this.#planRetry();
        log({ type: 'listening', address: textOf(place.address), port });
      },
      onAccept,
      onError: (error) => {
        place.port = undefined;
        place.listener = undefined;
        const retryInMs = error.unsupported || this.#closed ? undefined : place.delayMs;
        log({ type: 'listen-failed', error, retryInMs });
        if (retryInMs === undefined) return;
        place.delayMs = Math.min(place.delayMs * 2, RETRY_MAX_MS);
        place.retry = clock.after(retryInMs, () => this.#open(place));
      },
    });
  }
}

function keyName({ address, prefixLength, interface: scope }: Omit<PeerKey, 'password'>): string {
  return `${peerKey(address, scope)}/${prefixLength ?? '-'}`;
}

function textOf(address: ListenAddress): string {
  if (!('any' in address)) return formatAddress(address);
  return address.any === 'ipv4' ? '0.0.0.0' : '::';
}

/** Our speaker as a process in a network namespace, for tests against real routers. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { BfdStatus } from '../../bgp/bfd/types.ts';
import type { PeerConfig, PeerCounters, PeerFamilyStatus } from '../../bgp/types.ts';
import type { LargeCommunity } from '../../bgp/wire/types.ts';
import type { PeerView } from '../../src/api/views.ts';
import type { Family } from '../../src/net/address.ts';
import type { Netns } from './netns.ts';

const ANSWER_TIMEOUT_MS = 30_000;

export interface ChildPeer {
  readonly address: string;
  readonly localAs: number;
  readonly peerAs: number;
  readonly port?: number;
  readonly passive?: boolean;
  readonly holdTimeSec?: number;
  readonly ttl?: number;
  readonly minTtl?: number;
  /** offers graceful restart */
  readonly restartTimeSec?: number;
  /** also what was learned is sent to the peer */
  readonly exportAll?: boolean;
  readonly localAddress?: string;
  /** fields of `PeerConfig` as they are */
  readonly extra?: Omit<Partial<PeerConfig>, 'address' | 'localAddress' | 'importPolicy' | 'exportPolicy'>;
}

/** `DynamicPeers` with a prefix as text. */
export interface ChildDynamicPeers {
  readonly prefix: string;
  readonly limit: number;
  readonly template: Omit<ChildPeer, 'address'>;
}

/** A route with all that is known of it; octets are in hexadecimal. */
export interface ChildRouteDetail {
  readonly prefix: string;
  readonly peer: string;
  readonly pathId: number | undefined;
  readonly best: boolean;
  readonly stale: boolean;
  readonly unusable: string | undefined;
  readonly nextHop: string;
  readonly localPref: number | undefined;
  readonly asPath: readonly number[];
  readonly communities: readonly number[];
  readonly largeCommunities: readonly string[];
  readonly originatorId: number | undefined;
  readonly clusterList: readonly number[];
  readonly onlyToCustomer: number | undefined;
}

export interface ChildSpeakerOptions {
  readonly routerId: number;
  readonly localAs: number;
  readonly listenPort?: number;
  /** graceful restart: the kernel kept forwarding in both families */
  readonly preserved: boolean;
  readonly peers: readonly ChildPeer[];
  readonly originate: readonly string[];
  readonly dynamic?: readonly ChildDynamicPeers[];
  readonly identity?: { readonly host?: string; readonly softwareVersion?: string };
}

export interface ChildRoute {
  readonly prefix: string;
  readonly nextHop: string;
  readonly asPath: readonly number[];
  readonly best: boolean;
  readonly stale: boolean;
}

export interface ChildPeerStatus {
  readonly state: string;
  readonly holdTimeSec: number | undefined;
  readonly lastReset: string | undefined;
  readonly capabilitiesSent: readonly string[];
  readonly capabilitiesReceived: readonly string[];
  readonly counters: PeerCounters;
  readonly families: Readonly<Record<Family, PeerFamilyStatus>>;
  readonly helperUntil: number | undefined;
  readonly peerFamilies: readonly Family[];
  readonly bfd: BfdStatus | undefined;
  /** as the API shows it */
  readonly view: PeerView;
}

export type ChildRequest =
  | { readonly method: 'start'; readonly options: ChildSpeakerOptions }
  | { readonly method: 'setPeers'; readonly peers: readonly ChildPeer[] }
  | { readonly method: 'originate' | 'withdraw'; readonly prefix: string }
  | {
      readonly method: 'originate-with';
      readonly prefixes: readonly string[];
      readonly communities?: readonly number[];
      readonly largeCommunities?: readonly LargeCommunity[];
      readonly asPath?: readonly number[];
    }
  | { readonly method: 'routes' | 'details' | 'peers' }
  /** keeps the main thread busy */
  | { readonly method: 'block'; readonly ms: number }
  /** threads of the process */
  | { readonly method: 'threads' }
  | { readonly method: 'messages' | 'longest-sent'; readonly peer: string }
  | { readonly method: 'draining'; readonly on: boolean }
  | { readonly method: 'peer' | 'enable'; readonly peer: string }
  | { readonly method: 'disable'; readonly peer: string; readonly text: string }
  | { readonly method: 'reset'; readonly peer: string; readonly kind: 'hard' | 'soft-in' | 'soft-out' }
  | { readonly method: 'stop'; readonly mode: 'keep-forwarding' | 'shutdown' };

/** An event of the speaker as it came over the pipe. */
export type ChildEvent = Readonly<Record<string, unknown>>;

export class SpeakerProcess {
  readonly events: ChildEvent[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #nextId = 1;
  #errors = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null || child.stderr === null) throw new Error('the child has no pipes');
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line));
    child.once('exit', (code, signal) => {
      const error = new Error(`the speaker ended with ${code ?? signal}: ${this.#errors}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  /** Starts a speaker inside the namespace. */
  static async start(netns: Netns, options: ChildSpeakerOptions): Promise<SpeakerProcess> {
    const script = fileURLToPath(new URL('./speaker-child.ts', import.meta.url));
    const speaker = new SpeakerProcess(netns.spawn(process.execPath, script));
    await speaker.request({ method: 'start', options });
    return speaker;
  }

  /** Learned routes. */
  async routes(): Promise<readonly ChildRoute[]> {
    return (await this.request({ method: 'routes' })) as readonly ChildRoute[];
  }

  /** Learned routes, used or not, with what they carry. */
  async details(prefix?: string): Promise<readonly ChildRouteDetail[]> {
    const all = (await this.request({ method: 'details' })) as readonly ChildRouteDetail[];
    return prefix === undefined ? all : all.filter((route) => route.prefix === prefix);
  }

  /** Names of the peers. */
  async peers(): Promise<readonly string[]> {
    return (await this.request({ method: 'peers' })) as readonly string[];
  }

  /** Messages that came in from a peer so far, in hexadecimal; those of all peers up to the 10,000th. */
  async messages(peer: string): Promise<readonly string[]> {
    return (await this.request({ method: 'messages', peer })) as readonly string[];
  }

  /** Octets of the longest message sent to a peer so far. */
  async longestSent(peer: string): Promise<number> {
    return (await this.request({ method: 'longest-sent', peer })) as number;
  }

  async peer(peer: string): Promise<ChildPeerStatus> {
    return (await this.request({ method: 'peer', peer })) as ChildPeerStatus;
  }

  /** Sends a command and waits for its answer, 10 s at most. */
  request(request: ChildRequest): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`the speaker does not answer to ${request.method}: ${this.#errors}`));
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#child.stdin?.write(`${JSON.stringify({ id, request })}\n`);
    });
  }

  /** SIGKILL, as a crash would be; waits for the end. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #onLine(line: string): void {
    const message: { id?: number; result?: unknown; error?: string; event?: ChildEvent } = JSON.parse(line);
    if (message.event !== undefined) {
      this.events.push(message.event);
      return;
    }
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (message.id === undefined || waiting === undefined) return;
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting.resolve(message.result);
    else waiting.reject(new Error(message.error));
  }
}

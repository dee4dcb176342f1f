/** The bench of the interoperability matrix: a router and our speaker on one link, and what is asked of both. */
import assert from 'node:assert/strict';
import { eventually } from './eventually.ts';
import { OurRouter } from './matrix-ourselves.ts';
import {
  createMatrixRouter,
  type MatrixConfig,
  type MatrixKind,
  type MatrixRouter,
} from './matrix-routers.ts';
import { connect, createNetns, type Netns } from './netns.ts';
import { type ChildPeer, type ChildSpeakerOptions, SpeakerProcess } from './speaker-process.ts';

export type BenchKind = MatrixKind | 'ourselves';
export const WAIT = { timeoutMs: 25_000, intervalMs: 100 };
export const OUR_AS = 65001;
export const THEIR_AS = 200002;
export const HELPER_AS = 65003;
export const OURS = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const;
export const THEIRS = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' } as const;
export const HELPER = '192.0.2.3';
/** long enough for a machine that is busy with other things */
export const HOLD_SEC = 30;

/** One router on one link with our speaker, and room for another speaker of ours on our side of it. */
export class Bench {
  readonly kind: BenchKind;
  readonly router: MatrixRouter | OurRouter;
  readonly config: MatrixConfig;
  readonly #near: Netns;
  readonly #far: Netns;
  readonly #speakers: SpeakerProcess[] = [];
  #main: SpeakerProcess | undefined;

  constructor(kind: BenchKind, change: Partial<MatrixConfig> = {}) {
    this.kind = kind;
    this.#near = createNetns();
    const far = createNetns();
    this.#far = far;
    // FRR ends every IPv6 session that comes up while its link-local address is tentative, and each end lengthens our IdleHold.
    for (const netns of [this.#near, far]) netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
    connect(
      {
        netns: this.#near,
        name: 'eth0',
        addresses: ['192.0.2.1/24', '192.0.2.3/24', '2001:db8::1/64'],
      },
      { netns: far, name: 'eth0', addresses: ['192.0.2.2/24', '2001:db8::2/64'] },
    );
    this.near = linkLocal(this.#near);
    this.far = linkLocal(far);
    this.config = {
      as: THEIR_AS,
      neighbourAs: OUR_AS,
      local: THEIRS.ipv4,
      neighbour: OURS.ipv4,
      routerId: '192.0.2.2',
      holdTimeSec: HOLD_SEC,
      announce: [{ prefix: '10.2.0.0/16' }, { prefix: '2001:db8:2::/48' }],
      ...change,
      ...(change.interface !== undefined && { local: this.far, neighbour: this.near }),
    };
    this.router =
      kind === 'ourselves' ? new OurRouter(far, this.config) : createMatrixRouter(kind, far, this.config);
  }

  /** link-local addresses of both ends */
  readonly near: string;
  readonly far: string;

  get speaker(): SpeakerProcess {
    if (this.#main === undefined) throw new Error('start comes first');
    return this.#main;
  }

  get peer(): string {
    return this.config.local;
  }

  childPeer(change: Partial<ChildPeer> = {}): ChildPeer {
    const { as, holdTimeSec = HOLD_SEC } = this.config;
    return { address: this.peer, localAs: OUR_AS, peerAs: as, exportAll: true, holdTimeSec, ...change };
  }

  /** Starts both sides and waits for the session. */
  async start(
    peer: Partial<ChildPeer> = {},
    options: Partial<ChildSpeakerOptions> = {},
    waits = true,
  ): Promise<void> {
    await this.startSpeaker(peer, options);
    await this.router.start();
    if (waits) await this.up();
  }

  /** Starts our side alone: for another time, after it was killed. */
  async startSpeaker(
    peer: Partial<ChildPeer> = {},
    options: Partial<ChildSpeakerOptions> = {},
  ): Promise<void> {
    this.#main = await SpeakerProcess.start(this.#near, {
      routerId: 0xc0000201,
      localAs: OUR_AS,
      listenPort: 179,
      preserved: false,
      peers: [this.childPeer(peer)],
      originate: ['10.1.0.0/16', '2001:db8:1::/48'],
      ...options,
    });
    this.#speakers.push(this.#main);
  }

  /** Another speaker of ours on our side of the link, with a session to the first. */
  async startHelper(as: number, originate: readonly string[]): Promise<SpeakerProcess> {
    const helper = await SpeakerProcess.start(this.#near, {
      routerId: 0xc0000203,
      localAs: as,
      preserved: false,
      peers: [
        {
          address: OURS.ipv4,
          localAddress: HELPER,
          localAs: as,
          peerAs: OUR_AS,
          ttl: 64,
          exportAll: true,
          holdTimeSec: HOLD_SEC,
        },
      ],
      originate,
    });
    this.#speakers.push(helper);
    return helper;
  }

  async up(): Promise<void> {
    await eventually(
      `${this.kind}: established here`,
      async () => (await this.speaker.peer(this.peer))?.state === 'Established',
      WAIT,
    );
    await eventually(`${this.kind}: established there`, () => this.router.isUp(), WAIT);
  }

  async down(): Promise<void> {
    await eventually(
      `${this.kind}: not established`,
      async () => (await this.speaker.peer(this.peer))?.state !== 'Established',
      WAIT,
    );
  }

  async weHave(prefix: string, paths = 1) {
    return eventually(
      `${this.kind}: we have ${paths} paths to ${prefix}`,
      async () => {
        const found = (await this.speaker.details(prefix)).filter(({ peer }) => peer === this.peer);
        return found.length >= paths ? found : undefined;
      },
      WAIT,
    );
  }

  async theyHave(prefix: string, paths = 1) {
    return eventually(
      `${this.kind}: they have ${paths} paths to ${prefix}`,
      async () => {
        const found = await this.router.paths(prefix);
        return found.length >= paths ? found : undefined;
      },
      WAIT,
    );
  }

  async event(what: string, matches: (event: Readonly<Record<string, unknown>>) => boolean): Promise<void> {
    await eventually(`${this.kind}: ${what}`, () => this.speaker.events.some(matches), WAIT);
  }

  /** Takes the router's end of the link down or up; its IPv6 address, which goes with the link, is put back. */
  setLink(state: 'up' | 'down'): void {
    this.#far.run('ip', 'link', 'set', 'eth0', state);
    if (state === 'up')
      this.#far.run('ip', '-6', 'address', 'replace', '2001:db8::2/64', 'dev', 'eth0', 'nodad');
  }

  /** Segments with a wrong TCP MD5 signature that came in on our side. */
  md5Failures(): number {
    const [names, values] = this.#near
      .run('sh', '-c', 'grep TcpExt: /proc/net/netstat')
      .split('\n')
      .map((line) => line.split(' '));
    return Number(values?.[names?.indexOf('TCPMD5Failure') ?? -1] ?? 0);
  }

  /** Whether the peer offered a capability, by the start of its name. */
  async offers(name: string): Promise<boolean> {
    const { capabilitiesReceived } = await this.speaker.peer(this.peer);
    return capabilitiesReceived.some((capability) => capability.startsWith(name));
  }

  async end(): Promise<void> {
    for (const speaker of this.#speakers) await speaker.kill();
    await this.router.kill();
    this.router.dispose();
  }
}

function linkLocal(netns: Netns): string {
  const text = netns.run('ip', '-6', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'link');
  const found = /inet6 (fe80::\S+)\//.exec(text)?.[1];
  if (found === undefined) throw new Error(`no link-local address: ${text}`);
  return found;
}

/** Runs a scenario with several routers side by side; all are tried before the failures are thrown. */
export async function withEach(
  kinds: readonly BenchKind[],
  run: (kind: BenchKind) => Promise<void>,
): Promise<void> {
  const results = await Promise.allSettled(kinds.map(run));
  const failures = results.flatMap((result, index) =>
    result.status === 'rejected' ? [`${kinds[index]}: ${reasonOf(result.reason)}`] : [],
  );
  assert.deepEqual(failures, []);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

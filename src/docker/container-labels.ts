/**
 * Which container stands behind an endpoint, and its labels: the driver protocol does not say, so Docker's API is asked when Docker
 * announces that a container was connected, some milliseconds after Join and long before the container's first process runs. Nothing is
 * polled: events tell what to ask, and each time the stream opens anew everything of ours is asked once.
 */
import { CoalescedTask } from '../agent/coalesced.ts';
import type { Log } from '../agent/log.ts';
import type { DockerContainer, DockerNetwork } from './endpoint-resource.ts';
import type { EngineApi, EngineEvent, EngineNetwork } from './engine-api.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;
/** An endpoint whose container is not known after this time is worth a line in the log. */
const COMPLAIN_AFTER_MS = 10_000;

export interface ContainerLabelsOptions {
  readonly api: EngineApi;
  readonly log: Log;
  /** name of our driver, as Docker knows it */
  readonly driver: string;
  /** a container, and what is known of its network, was learned */
  readonly onContainer: (
    endpointId: string,
    network: DockerNetwork,
    container: DockerContainer,
  ) => Promise<void>;
  /**
   * everything that Docker has of ours, at the time when the question was put (milliseconds since 1970); resolves to the time after which
   * it wants to see it again, if at all
   */
  readonly onPicture: (networks: readonly EngineNetwork[], askedAt: number) => Promise<number | undefined>;
}

/** Follows Docker's API. */
export class ContainerLabels {
  readonly #options: ContainerLabelsOptions;
  readonly #networks = new Map<string, DockerNetwork>();
  /** endpoints whose container is not known yet, with the timer that complains */
  readonly #expected = new Map<string, NodeJS.Timeout>();
  /** networks to ask about; undefined: all */
  #dirty: Set<string> | undefined = new Set();
  readonly #task: CoalescedTask;
  readonly #abort = new AbortController();
  #retryTimer: NodeJS.Timeout | undefined;
  #pictureTimer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #isConnected = false;
  #lastError: string | undefined;

  constructor(options: ContainerLabelsOptions) {
    this.#options = options;
    this.#task = new CoalescedTask(
      async () => {
        const afterMs = await this.#ask();
        if (afterMs === undefined) return {};
        this.#picturesLater(afterMs);
        return {};
      },
      (error) => options.log.debug({ error }, 'Docker was not asked about containers; tried again'),
    );
  }

  start(): void {
    void this.#follow();
  }

  /** Why Docker's API cannot be followed now, with the number of endpoints that wait for it; undefined: all is well. */
  get problem(): { readonly reason: string; readonly waiting: number } | undefined {
    if (this.#isConnected || this.#lastError === undefined) return undefined;
    return { reason: this.#lastError, waiting: this.#expected.size };
  }

  /** Docker has just asked us something, so it lives: no more waiting for the next try. */
  noteAlive(): void {
    if (this.#retryTimer === undefined) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    void this.#follow();
  }

  /** Asks for everything now. */
  look(): void {
    this.#dirty = undefined;
    this.#task.trigger();
  }

  noteNetwork(network: DockerNetwork): void {
    this.#networks.set(network.id, network);
  }

  forgetNetwork(id: string): void {
    this.#networks.delete(id);
  }

  /** What is known of a network. */
  networkOf(id: string): DockerNetwork {
    return this.#networks.get(id) ?? { id, labels: {}, options: {} };
  }

  /** An endpoint's container is wanted. */
  expect(endpointId: string): void {
    clearTimeout(this.#expected.get(endpointId));
    const timer = setTimeout(() => {
      this.#options.log.warn(
        {
          endpoint: endpointId,
          api: this.#options.api.socketPath,
          reason: this.#lastError ?? 'Docker does not name it',
        },
        'the labels of a container are not known, so its interface stays closed',
      );
    }, COMPLAIN_AFTER_MS);
    timer.unref();
    this.#expected.set(endpointId, timer);
  }

  forget(endpointId: string): void {
    clearTimeout(this.#expected.get(endpointId));
    this.#expected.delete(endpointId);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#pictureTimer);
    for (const timer of this.#expected.values()) clearTimeout(timer);
    await this.#task.close();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#abort;
    try {
      await this.#options.api.events(
        () => this.#onOpen(),
        (event) => this.#onEvent(event),
        signal,
      );
      this.#lastError = 'Docker ended the stream of events';
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error);
    }
    this.#isConnected = false;
    if (signal.aborted) return;
    this.#options.log.debug({ reason: this.#lastError }, 'Docker is not followed; tried again');
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      void this.#follow();
    }, this.#retryMs);
    this.#retryTimer.unref();
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #onOpen(): void {
    this.#isConnected = true;
    this.#lastError = undefined;
    this.#retryMs = FIRST_RETRY_MS;
    this.look();
  }

  #onEvent({ Type, Action, Actor }: EngineEvent): void {
    if (Type === 'network' && Actor.Attributes['type'] === this.#options.driver) this.#dirty?.add(Actor.ID);
    else if (Type === 'container' && Action === 'rename') this.#dirty = undefined;
    else return;
    this.#task.trigger();
  }

  #picturesLater(afterMs: number): void {
    clearTimeout(this.#pictureTimer);
    this.#pictureTimer = setTimeout(() => this.look(), afterMs);
    this.#pictureTimer.unref();
  }

  /** Resolves to the time after which everything is to be asked again, if at all. */
  async #ask(): Promise<number | undefined> {
    const { api, driver } = this.#options;
    const askedAt = Date.now();
    const dirty = this.#dirty;
    this.#dirty = new Set();
    try {
      const ids = dirty === undefined ? (await api.networks(driver)).map(({ Id }) => Id) : [...dirty];
      const networks: EngineNetwork[] = [];
      for (const id of ids) networks.push(await api.network(id));
      await this.#learn(networks, dirty === undefined);
      return dirty === undefined ? await this.#options.onPicture(networks, askedAt) : undefined;
    } catch (error) {
      // A network that was removed meanwhile makes no difference to the others: everything is asked anew.
      this.#dirty = undefined;
      throw error;
    }
  }

  async #learn(networks: readonly EngineNetwork[], isEverything: boolean): Promise<void> {
    const wanted = new Map<string, { endpointId: string; network: DockerNetwork }[]>();
    for (const { Id, Name, Labels, Options, Containers } of networks) {
      const network = { id: Id, name: Name, labels: Labels, options: Options };
      this.#networks.set(Id, network);
      for (const [containerId, { EndpointID }] of Object.entries(Containers)) {
        if (!isEverything && !this.#expected.has(EndpointID)) continue;
        const entry = { endpointId: EndpointID, network };
        const list = wanted.get(containerId);
        if (list === undefined) wanted.set(containerId, [entry]);
        else list.push(entry);
      }
    }
    for (const { Id, Names, Labels } of await this.#options.api.containers([...wanted.keys()])) {
      const container = { id: Id, name: (Names[0] ?? '').replace(/^\//, ''), labels: Labels };
      for (const { endpointId, network } of wanted.get(Id) ?? []) {
        await this.#options.onContainer(endpointId, network, container);
        this.forget(endpointId);
      }
    }
  }
}

/** The members of an etcd cluster: calls with a deadline, on another member when one does not answer, and what the errors mean. */
import type { Etcd3, IRangeResponse, ITxnRequest, ITxnResponse } from 'etcd3';
import { OutcomeUnknown, StoreUnavailable } from '../errors.ts';
import type { EtcdEndpoints } from './endpoints.ts';
import { IPAM_CONFIG_KEY } from './keys.ts';
import { type Credentials, clientOptions, readCredentials, sameCredentials } from './options.ts';

/** One attempt on one member. An election takes one to two seconds, during which a member holds a call back. */
const ATTEMPT_TIMEOUT_MS = 2_500;
/** Attempts of one call at most: enough for an election and a member that hangs. */
const MIN_ATTEMPTS = 3;

/** The deadline of one attempt, as etcd3 wants it. */
export interface CallDeadline {
  /** epoch milliseconds */
  readonly deadline: number;
}

/** An answer, and whether an earlier attempt may have taken effect without an answer. */
export interface Answer<T> {
  readonly value: T;
  readonly isRepeated: boolean;
}

/** An attempt may have reached a member, and no answer came back. */
class NoAnswer extends StoreUnavailable {}

/** The members of one cluster. */
export class Cluster {
  readonly #options: EtcdEndpoints;
  #clients: Etcd3[] = [];
  #credentials: Credentials | undefined;
  #preferred: number;
  #opening: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: EtcdEndpoints) {
    this.#options = options;
    // Hosts spread over the members.
    this.#preferred = Math.floor(Math.random() * Math.max(1, options.endpoints.length));
  }

  get size(): number {
    return this.#options.endpoints.length;
  }

  /** The member that answered last. */
  get preferred(): number {
    return this.#preferred;
  }

  /** The endpoint of a member, for messages. */
  endpoint(member: number): string {
    return this.#options.endpoints[member % this.size] ?? '';
  }

  /** Reads a range of keys. With `avoid`, that member is asked last. Rejects with `StoreUnavailable`. */
  async range(
    request: {
      readonly key: string;
      readonly end?: string;
      readonly limit?: number;
      readonly revision?: number;
    },
    avoid?: number,
  ): Promise<IRangeResponse> {
    const { key, end, limit, revision } = request;
    const answer = await this.#call(
      async (client, options) =>
        await client.kv.range(
          {
            key: Buffer.from(key),
            ...(end === undefined ? {} : { range_end: Buffer.from(end) }),
            ...(limit === undefined ? {} : { limit }),
            ...(revision === undefined ? {} : { revision }),
          },
          options,
        ),
      avoid,
    );
    return answer.value;
  }

  /** Executes a transaction. Rejects with `OutcomeUnknown` when it may have taken effect, else with `StoreUnavailable`. */
  async txn(request: ITxnRequest): Promise<Answer<ITxnResponse>> {
    try {
      return await this.#call(async (client, options) => await client.kv.txn(request, options));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      const message = `${error.message}; whether the write took effect is not known`;
      throw new OutcomeUnknown(message, { cause: error.cause });
    }
  }

  /** The revision of the whole store, from a linearizable read: a member without a quorum cannot answer it. */
  async revision(avoid?: number): Promise<number> {
    const answer = await this.#call(
      async (client, options) =>
        await client.kv.range({ key: Buffer.from(IPAM_CONFIG_KEY), count_only: true }, options),
      avoid,
    );
    return Number(answer.value.header.revision);
  }

  /** A client of its own for one member, which the caller closes. */
  async connect(member: number): Promise<Etcd3> {
    const credentials = await readCredentials(this.#options);
    return await newClient(this.endpoint(member), this.#options, credentials);
  }

  close(): void {
    this.#isClosed = true;
    for (const client of this.#clients) client.close();
    this.#clients = [];
  }

  async #call<T>(
    work: (client: Etcd3, options: CallDeadline) => Promise<T>,
    avoid?: number,
  ): Promise<Answer<T>> {
    await this.#open();
    let isRepeated = false;
    let last: unknown;
    let isClosed = false;
    const first = avoid === undefined ? this.#preferred : avoid + 1;
    for (let attempt = 0; attempt < Math.max(MIN_ATTEMPTS, this.size); attempt++) {
      const member = (first + attempt) % this.size;
      const client = this.#clients[member];
      if (client === undefined || this.#isClosed) {
        isClosed = true;
        break;
      }
      try {
        const value = await work(client, { deadline: Date.now() + ATTEMPT_TIMEOUT_MS });
        if (avoid === undefined) this.#preferred = member;
        return { value, isRepeated };
      } catch (error) {
        last = error;
        if (!isTransient(error)) break;
        isRepeated = true;
      }
    }
    // Certificates and passwords are replaced while the agent runs.
    if (!isClosed) await this.#renew();
    const Failure = isRepeated ? NoAnswer : StoreUnavailable;
    throw new Failure(isClosed ? 'the etcd store is closed' : explain(last), { cause: last });
  }

  async #open(): Promise<void> {
    if (this.#isClosed) throw new StoreUnavailable('the etcd store is closed');
    if (this.#clients.length > 0) return;
    this.#opening ??= this.#renew().finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
  }

  async #renew(): Promise<void> {
    const credentials = await readCredentials(this.#options);
    if (this.#credentials !== undefined && sameCredentials(this.#credentials, credentials)) return;
    const clients: Etcd3[] = [];
    for (const endpoint of this.#options.endpoints) {
      clients.push(await newClient(endpoint, this.#options, credentials));
    }
    const former = this.#clients;
    this.#clients = clients;
    this.#credentials = credentials;
    for (const client of former) client.close();
    if (this.#isClosed) for (const client of clients) client.close();
  }
}

async function newClient(endpoint: string, options: EtcdEndpoints, credentials: Credentials): Promise<Etcd3> {
  // Loaded only where etcd is used: it costs some 40 MiB.
  const { Etcd3: Client } = await import('etcd3');
  return new Client(clientOptions(endpoint, options, credentials));
}

/** Whether another attempt may fare better: the call met a member that is down, hangs, or has no leader. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (/database space exceeded|authentication failed|permission denied/.test(error.message)) return false;
  // etcd3 marks what its own retries would repeat.
  return Object.getOwnPropertySymbols(error).some(({ description }) => description === 'RecoverableError');
}

/** Whether the revision asked for has been compacted away. */
export function isCompacted(error: unknown): boolean {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof Error && /has been compacted/.test(cause.message);
}

/** Whether etcd refuses writes because its quota is used up. */
export function isNoSpace(error: unknown): boolean {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof Error && /database space exceeded/.test(cause.message);
}

/** What an error of etcd means for an operator. Holds no secret: etcd's messages do not either. */
export function explain(error: unknown): string {
  if (error instanceof StoreUnavailable) return error.message;
  const message = error instanceof Error ? error.message : String(error);
  const plain = message.replace(/\s+Please report this error.*$/s, '');
  if (isNoSpace(error)) {
    return 'etcd has used up its space quota and takes no writes: compact and defragment it, then "etcdctl alarm disarm"';
  }
  if (/authentication failed/.test(message))
    return 'etcd refuses user name and password: check usernameFile and passwordFile';
  if (/permission denied/.test(message)) {
    return 'etcd denies access: the role of this user needs readwrite on the prefix /calico/';
  }
  if (/user name is empty/.test(message)) return 'etcd wants a user name: set usernameFile and passwordFile';
  if (/Deadline|deadline/.test(message)) return 'etcd did not answer in time';
  return `etcd: ${plain}`;
}

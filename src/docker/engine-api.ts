/** The few questions that we ask Docker's engine on its API socket: networks, containers, and the stream of events. Reads only. */
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { httpRequest } from '../api/node-http.ts';
import {
  isText,
  listOf,
  listRead,
  type Member,
  mapOf,
  member,
  memberOr,
  orNull,
  pickedObject,
  value,
} from '../model/json-shape.ts';
import { Problems, type Schema } from '../model/schema.ts';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

type Labels = Readonly<Record<string, string>>;

const text = value(isText, 'a text');
const id = member(text);
// Go writes an empty map as null.
const labels: Member<Labels> = memberOr(orNull(mapOf(text), {}), {});

interface AttachedContainer {
  readonly EndpointID: string;
  readonly Name: string;
}

interface PoolOfNetwork {
  readonly AuxiliaryAddresses: Labels;
}

interface NetworkIpam {
  readonly Config: readonly PoolOfNetwork[] | null;
}

/** A network with the endpoints of its running containers, by container. */
export interface EngineNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly Labels: Labels;
  readonly Options: Labels;
  readonly IPAM: NetworkIpam | null;
  readonly Containers: Readonly<Record<string, AttachedContainer>>;
}

const network = pickedObject<EngineNetwork>({
  Id: id,
  Name: id,
  Labels: labels,
  Options: labels,
  IPAM: memberOr(
    orNull(
      pickedObject<NetworkIpam>({
        Config: memberOr(
          orNull(listRead(pickedObject<PoolOfNetwork>({ AuxiliaryAddresses: labels })), null),
          null,
        ),
      }),
      null,
    ),
    null,
  ),
  Containers: memberOr(orNull(mapOf(pickedObject<AttachedContainer>({ EndpointID: id, Name: id })), {}), {}),
});

/** A container, running or not. */
export interface EngineContainer {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Labels: Labels;
}

const container = pickedObject<EngineContainer>({
  Id: id,
  Names: member(listOf(isText, 'a text')),
  Labels: labels,
});

/** What happened to a network or a container. */
export interface EngineEvent {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Labels };
}

const event = pickedObject<EngineEvent>({
  Type: id,
  Action: id,
  Actor: member(pickedObject<EngineEvent['Actor']>({ ID: id, Attributes: labels })),
});

/** The engine's API on a Unix socket. Every call rejects when the engine does not answer, or not in time. */
export class EngineApi {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** Networks of a driver, without their containers. */
  async networks(driver: string): Promise<readonly EngineNetwork[]> {
    return await this.#get(`/networks?${filters({ driver: [driver] })}`, listRead(network));
  }

  async network(id: string): Promise<EngineNetwork> {
    return await this.#get(`/networks/${encodeURIComponent(id)}`, network);
  }

  async containers(ids: readonly string[]): Promise<readonly EngineContainer[]> {
    if (ids.length === 0) return [];
    return await this.#get(`/containers/json?all=1&${filters({ id: ids })}`, listRead(container));
  }

  /** Follows events until the stream ends; `opened` is called once it stands. Rejects when it breaks. */
  async events(
    opened: () => void,
    listener: (event: EngineEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const path = `/events?${filters({ type: ['network', 'container'], event: ['connect', 'rename', 'create'] })}`;
    const response = await this.#open(path, signal, undefined);
    opened();
    for await (const line of createInterface({ input: response })) {
      const told = event.read(JSON.parse(line), '', new Problems());
      if (told !== undefined) listener(told);
    }
  }

  async #get<T>(path: string, schema: Schema<T>): Promise<T> {
    const response = await this.#open(path, undefined, TIMEOUT_MS);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) continue;
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) throw new Error(`Docker's answer to ${path} is too long`);
      chunks.push(chunk);
    }
    const problems = new Problems();
    const answer = schema.read(JSON.parse(Buffer.concat(chunks).toString('utf8')), '', problems);
    if (answer !== undefined) return answer;
    const faults = problems.list.map(({ path: at, reason }) => `${at || 'document'}: ${reason}`);
    throw new Error(`Docker's answer to ${path} is not as expected: ${faults.join('; ')}`);
  }

  #open(
    path: string,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const call = httpRequest({
        socketPath: this.socketPath,
        path,
        headers: { host: 'docker' },
        ...(signal === undefined ? {} : { signal }),
      });
      if (timeoutMs !== undefined)
        call.setTimeout(timeoutMs, () =>
          call.destroy(new Error(`Docker does not answer within ${timeoutMs / 1000} s`)),
        );
      call.once('error', reject);
      call.once('response', (response) => {
        if (response.statusCode === 200) {
          resolve(response);
          return;
        }
        response.resume();
        reject(new Error(`Docker answers ${path} with status ${response.statusCode}`));
      });
      call.end();
    });
  }
}

function filters(by: Readonly<Record<string, readonly string[]>>): string {
  return `filters=${encodeURIComponent(JSON.stringify(by))}`;
}

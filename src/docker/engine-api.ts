/** The few questions that we ask Docker's engine on its API socket: networks, containers, and the stream of events. Reads only. */
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { httpRequest } from '../api/node-http.ts';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

const labels = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});

const network = z.object({
  Id: z.string(),
  Name: z.string(),
  Labels: labels,
  Options: labels,
  IPAM: z
    .object({
      Config: z.array(z.object({ AuxiliaryAddresses: labels })).nullish(),
    })
    .nullish(),
  Containers: z
    .record(z.string(), z.object({ EndpointID: z.string(), Name: z.string() }))
    .nullish()
    .transform((value) => value ?? {}),
});
/** A network with the endpoints of its running containers, by container. */
export type EngineNetwork = z.infer<typeof network>;

const container = z.object({ Id: z.string(), Names: z.array(z.string()), Labels: labels });
/** A container, running or not. */
export type EngineContainer = z.infer<typeof container>;

const event = z.object({
  Type: z.string(),
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: labels }),
});
/** What happened to a network or a container. */
export type EngineEvent = z.infer<typeof event>;

/** The engine's API on a Unix socket. Every call rejects when the engine does not answer, or not in time. */
export class EngineApi {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** Networks of a driver, without their containers. */
  async networks(driver: string): Promise<EngineNetwork[]> {
    return z.array(network).parse(await this.#get(`/networks?${filters({ driver: [driver] })}`));
  }

  async network(id: string): Promise<EngineNetwork> {
    return network.parse(await this.#get(`/networks/${encodeURIComponent(id)}`));
  }

  async containers(ids: readonly string[]): Promise<EngineContainer[]> {
    if (ids.length === 0) return [];
    return z.array(container).parse(await this.#get(`/containers/json?all=1&${filters({ id: ids })}`));
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
      const parsed = event.safeParse(JSON.parse(line));
      if (parsed.success) listener(parsed.data);
    }
  }

  async #get(path: string): Promise<unknown> {
    const response = await this.#open(path, undefined, TIMEOUT_MS);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) continue;
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) throw new Error(`Docker's answer to ${path} is too long`);
      chunks.push(chunk);
    }
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return value;
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

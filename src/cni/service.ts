/**
 * What CNI calls do: every decision of the plugin. An attachment is known by network, container ID and interface name alone; a DEL that
 * cannot be done now is left to the queue, so that teardown never blocks.
 */
import { statSync } from 'node:fs';
import type { EndpointManager } from '../agent/endpoints/manager.ts';
import { NETNS_ANNOTATION, NETWORK_ANNOTATION } from '../agent/endpoints/resource.ts';
import type { Log } from '../agent/log.ts';
import { ApiError } from '../api/problem.ts';
import type { IpPool } from '../model/ip-pool.ts';
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { formatAddress, parseAddress } from '../net/address.ts';
import { StoreError } from '../store/errors.ts';
import { KeyedMutex } from '../store/keyed-mutex.ts';
import { type Attachment, type AttachmentCall, type NetworkCall, readCall, versionOf } from './call.ts';
import { DeletionQueue } from './deletion-queue.ts';
import { CNI_CODE, CniError } from './error.ts';
import { CONTAINER_ANNOTATION, handleOf, idOf, ORCHESTRATOR, orderOf, resultOf } from './order.ts';
import { appendResult, renderResult } from './result.ts';

/** What the service works with. */
export interface CniServiceOptions {
  readonly log: Log;
  readonly endpoints: EndpointManager;
  readonly pools: () => readonly IpPool[];
  /** why nothing can be attached or detached now; undefined: it can */
  readonly unavailable: () => string | undefined;
  /** why an ADD would be refused although the agent works */
  readonly refusesAdd: () => string | undefined;
  /** why containers that are attached may have lost connections; undefined: nothing is known */
  readonly limited: () => string | undefined;
  /** where the plugin leaves DELs */
  readonly queueFolder: string;
}

/** The answer to the plugin. `queue`: the DEL is to be queued, for the reason given. */
export type CniAnswer =
  | { readonly ok: true; readonly output?: unknown }
  | { readonly ok: false; readonly output: unknown; readonly queue?: true; readonly reason?: string };

const HINT = '"ocicat status" says what is wrong';

/** Serves CNI calls. */
export class CniService {
  readonly #options: CniServiceOptions;
  readonly #queue: DeletionQueue;
  readonly #mutex = new KeyedMutex();

  constructor(options: CniServiceOptions) {
    this.#options = options;
    this.#queue = new DeletionQueue(options.queueFolder, options.log, (attachment) =>
      this.#exclusively(attachment, async () => {
        // It was queued for this very reason; it is tried again with back-off.
        const reason = options.unavailable();
        if (reason !== undefined) throw new Error(reason);
        if (this.#queue.holds(attachment)) await this.#detach(attachment);
      }),
    );
  }

  /** Works off queued DELs from now on. Call when endpoints can be detached. */
  start(): void {
    this.#queue.start();
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }

  /** Number of DELs that wait in the folder. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Serves one call; never rejects. `signal`: aborted when the plugin is gone and nobody will hear the answer. */
  async handle(body: unknown, signal: AbortSignal): Promise<CniAnswer> {
    const startedAt = performance.now();
    try {
      const call = readCall(body);
      const output = await this.#serve(call, signal);
      const ms = Math.round(performance.now() - startedAt);
      this.#options.log.debug({ command: call.command, network: call.config.name, ms }, 'CNI call');
      return output === undefined ? { ok: true } : { ok: true, output };
    } catch (error) {
      const { code, message, details } = cniErrorOf(error);
      const level = code === CNI_CODE.internal ? 'error' : 'warn';
      this.#options.log[level](
        { code, reason: message, ...(code === CNI_CODE.internal ? { error } : {}) },
        'a CNI call failed',
      );
      const output = {
        cniVersion: versionOf(body),
        code,
        msg: message,
        ...(details === undefined ? {} : { details }),
      };
      // What is wrong with the call itself does not get better by waiting.
      const mayQueue = code === CNI_CODE.tryAgain || code === CNI_CODE.internal;
      return mayQueue ? { ok: false, output, queue: true, reason: message } : { ok: false, output };
    }
  }

  async #serve(call: AttachmentCall | NetworkCall, signal: AbortSignal): Promise<unknown> {
    if (call.command === 'STATUS') return this.#status();
    const reason = this.#options.unavailable();
    if (reason !== undefined) throw new CniError(CNI_CODE.tryAgain, reason, HINT);
    switch (call.command) {
      case 'GC':
        return await this.#collect(call);
      case 'ADD':
        return await this.#exclusively(call.attachment, () => this.#add({ ...call, command: 'ADD' }, signal));
      case 'CHECK':
        return await this.#exclusively(call.attachment, () => this.#check({ ...call, command: 'CHECK' }));
      case 'DEL':
        return await this.#exclusively(call.attachment, () => this.#detach(call.attachment));
    }
  }

  async #add(call: AttachmentCall, signal: AbortSignal): Promise<unknown> {
    const { attachment, config, netns = '', version } = call;
    if (inodeOf(netns) === undefined) {
      throw new CniError(CNI_CODE.badEnvironment, `CNI_NETNS ${netns}: there is nothing that can be entered`);
    }
    refuseChain(call);
    const order = orderOf(call, this.#options.pools());
    // The order in which the runtime gave them: DEL, then ADD.
    if (this.#queue.holds(attachment)) await this.#detach(attachment);
    const isNew = this.#find(attachment) === undefined;
    const view = await this.#options.endpoints.attach(order);
    if (signal.aborted) {
      if (isNew) await this.#detach(attachment);
      throw new CniError(CNI_CODE.tryAgain, 'the plugin was ended before its ADD was done');
    }
    const rendered = renderResult(resultOf(call, view), version);
    return config.prevResult === undefined ? rendered : appendResult(config.prevResult, rendered);
  }

  async #detach(attachment: Attachment): Promise<undefined> {
    await this.#options.endpoints.detachSoon({ id: idOf(attachment), handle: handleOf(attachment) });
    this.#queue.done(attachment);
    return undefined;
  }

  async #check({ attachment, config, netns = '' }: AttachmentCall): Promise<undefined> {
    const { network, containerId, ifname } = attachment;
    if (config.prevResult === undefined) {
      throw new CniError(CNI_CODE.badConfiguration, 'CHECK needs prevResult, the result of the ADD');
    }
    const resource = this.#find(attachment);
    if (resource === undefined) {
      throw new CniError(
        CNI_CODE.unknownContainer,
        `container ${containerId} is not attached to ${network} by ${ifname}`,
        'the runtime has to ADD it',
      );
    }
    const lacking: string[] = [];
    const stored = resource.metadata.annotations?.[NETNS_ANNOTATION] ?? '';
    // Paths of one namespace differ: /var/run and /run, /proc/PID/ns/net.
    const inode = inodeOf(netns);
    if (inode === undefined) lacking.push(`${netns} is not there`);
    else if (inode !== inodeOf(stored))
      lacking.push(`it is attached in ${stored}, which is another network namespace than ${netns}`);
    lacking.push(...differences(config.prevResult, resource, ifname));
    if (lacking.length === 0) lacking.push(...(await this.#options.endpoints.verify(idOf(attachment))));
    if (lacking.length > 0) {
      throw new CniError(
        CNI_CODE.damaged,
        `${ifname} of container ${containerId} in ${network} is not as it was made: ${lacking.join('; ')}`,
        'another ADD puts it right',
      );
    }
    return undefined;
  }

  async #collect({ config }: NetworkCall): Promise<undefined> {
    const valid = config.validAttachments;
    // Without a list nothing is known to be stale.
    if (valid === undefined) return undefined;
    const kept = new Set(
      valid.map(({ containerID, ifname }) =>
        idOf({ network: config.name, containerId: containerID, ifname }),
      ),
    );
    const failures: string[] = [];
    for (const attachment of this.#attachments()) {
      if (attachment.network !== config.name || kept.has(idOf(attachment))) continue;
      try {
        await this.#exclusively(attachment, () => this.#detach(attachment));
        this.#options.log.info({ ...attachment }, 'removed by GC: the runtime does not know it any more');
      } catch (error) {
        failures.push(
          `${attachment.containerId} ${attachment.ifname}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
    if (failures.length > 0) {
      throw new CniError(
        CNI_CODE.incomplete,
        `stale attachments of ${config.name} could not be removed: ${failures.join('; ')}`,
        HINT,
      );
    }
    return undefined;
  }

  #status(): undefined {
    const reason = this.#options.unavailable() ?? this.#options.refusesAdd();
    const limited = this.#options.limited();
    if (limited !== undefined) {
      throw new CniError(
        CNI_CODE.notAvailableAndLimited,
        reason === undefined ? limited : `${reason}; ${limited}`,
        HINT,
      );
    }
    if (reason !== undefined) throw new CniError(CNI_CODE.notAvailable, reason, HINT);
    return undefined;
  }

  #attachments(): Attachment[] {
    return this.#options.endpoints.locals().flatMap(({ resource }) => attachmentOf(resource) ?? []);
  }

  #find(attachment: Attachment): WorkloadEndpoint | undefined {
    return this.#options.endpoints.find(idOf(attachment));
  }

  #exclusively<T>(attachment: Attachment, work: () => Promise<T>): Promise<T> {
    return this.#mutex.run(idOf(attachment), work);
  }
}

function attachmentOf({ metadata, spec }: WorkloadEndpoint): Attachment | undefined {
  const network = metadata.annotations?.[NETWORK_ANNOTATION];
  const containerId = metadata.annotations?.[CONTAINER_ANNOTATION];
  if (spec.orchestrator !== ORCHESTRATOR || network === undefined || containerId === undefined)
    return undefined;
  return { network, containerId, ifname: spec.endpoint ?? 'eth0' };
}

// The device and inode that a namespace's path leads to: what tells two namespaces apart.
function inodeOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** This plugin makes the interface. After another one it can stand only where that has made none in the container but `lo`. */
function refuseChain({ config, attachment }: AttachmentCall): void {
  const { prevResult } = config;
  if (prevResult === undefined) return;
  const interfaces = Array.isArray(prevResult['interfaces']) ? prevResult['interfaces'] : [];
  const isOther = (each: unknown): boolean =>
    typeof each === 'object' &&
    each !== null &&
    Reflect.get(each, 'sandbox') &&
    Reflect.get(each, 'name') !== 'lo';
  const hasRoutes = Array.isArray(prevResult['routes']) && prevResult['routes'].length > 0;
  if (
    !interfaces.some(isOther) &&
    !hasRoutes &&
    prevResult['ip4'] === undefined &&
    prevResult['ip6'] === undefined
  )
    return;
  throw new CniError(
    CNI_CODE.badConfiguration,
    `ocicat-cni makes the interface ${attachment.ifname} itself, but a plugin before it in the chain has connected the container already`,
    'put ocicat-cni first among the plugins; portmap, bandwidth, tuning and firewall go after it',
  );
}

/** Where the result of the ADD, which later plugins may have added to, and what is stored differ in what is ours. */
function differences(
  prevResult: Readonly<Record<string, unknown>>,
  resource: WorkloadEndpoint,
  ifname: string,
): string[] {
  const names = listOf(prevResult['interfaces']).map((each) => each['name']);
  const found: string[] = [];
  for (const name of [resource.spec.interfaceName, ifname]) {
    if (!names.includes(name)) found.push(`prevResult has no interface ${name}`);
  }
  const given = listOf(prevResult['ips']).flatMap(({ address }) => {
    const parsed = typeof address === 'string' ? parseAddress(address.split('/', 1)[0] ?? '') : undefined;
    return parsed === undefined ? [] : [formatAddress(parsed)];
  });
  for (const network of resource.spec.ipNetworks ?? []) {
    const address = parseAddress(network.split('/', 1)[0] ?? '');
    if (address !== undefined && !given.includes(formatAddress(address)))
      found.push(`prevResult has no address ${formatAddress(address)}`);
  }
  return found;
}

function listOf(value: unknown): Record<string, unknown>[] {
  if (!Array.isArray(value)) return [];
  return value.filter((each): each is Record<string, unknown> => typeof each === 'object' && each !== null);
}

function cniErrorOf(error: unknown): CniError {
  if (error instanceof CniError) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof StoreError) return new CniError(CNI_CODE.tryAgain, text, HINT);
  if (!(error instanceof ApiError))
    return new CniError(CNI_CODE.internal, text, 'this is a fault of the agent; its log has the details');
  const { code, message, hint, details } = error.problem;
  const faults = (details ?? []).map(({ path, reason }) => `${path ?? ''}: ${reason}`).join('; ');
  const full = faults === '' ? message : `${message}: ${faults}`;
  if (code === 'unavailable') return new CniError(CNI_CODE.tryAgain, full, hint);
  if (code === 'conflict') return new CniError(CNI_CODE.conflict, full, hint);
  if (code === 'internal') return new CniError(CNI_CODE.internal, full, hint);
  return new CniError(CNI_CODE.notAttachable, full, hint);
}

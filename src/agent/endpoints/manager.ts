/**
 * The containers of this host: `endpoint add` and `delete`, and keeping the kernel as the WorkloadEndpoint resources say. An address is
 * assigned before the resource that names it is written, and released after the link is gone, so that a crash at any point loses none and
 * gives none twice.
 */
import { problem } from '../../api/problem.ts';
import type { EndpointRequest, EndpointView } from '../../api/views.ts';
import { endpointId } from '../../calc/items.ts';
import type { Ipam } from '../../ipam/ipam.ts';
import type { WorkloadEndpoint } from '../../model/workload-endpoint.ts';
import { KeyedMutex } from '../../store/keyed-mutex.ts';
import type { Store } from '../../store/types.ts';
import type { ResourceCache } from '../resources/cache.ts';
import { assignAddresses, releaseUnheld } from './addresses.ts';
import { Attachment, type AttachmentContext, type AttachmentState } from './attachment.ts';
import { type IndexedEndpoint, LocalIndex } from './local-index.ts';
import { checkNamespace } from './namespace-check.ts';
import {
  checkRequest,
  makeChecked,
  type PortKeeper,
  refuseHostPorts,
  refuseOther,
  refusePorts,
  refuseUnpublished,
} from './order-checks.ts';
import {
  addressTexts,
  type EndpointOrder,
  endpointName,
  handleOf,
  type LocalEndpoint,
  localEndpoint,
  localId,
  orderOf,
  resourceName,
} from './resource.ts';
import { deleteEndpoint, writeEndpoint } from './stored.ts';
import { Teardowns } from './teardown.ts';
import { endpointView } from './view.ts';

export interface EndpointManagerOptions extends AttachmentContext, PortKeeper {
  readonly node: string;
  readonly store: Store;
  readonly cache: ResourceCache;
  readonly ipam: Ipam;
  /** policies in force for an endpoint, by its id in the policy data plane */
  readonly policiesOf: (policyId: string) => readonly string[];
}

/** What a detachment needs to know. */
export type EndpointTarget = Pick<LocalEndpoint, 'id' | 'handle'>;

const SETTLE_TIMEOUT_MS = 45_000;
const CLOSE_TIMEOUT_MS = 5_000;

/** Owns the attachments of this node. */
export class EndpointManager {
  readonly #options: EndpointManagerOptions;
  /** by id, `NAMESPACE.NAME`; one stays here until its link is gone */
  readonly #attachments = new Map<string, Attachment>();
  /** ids of endpoints that are being written, and whose container ends a container runtime will take */
  readonly #awaited = new Set<string>();
  /** names of their host ends -> id */
  readonly #links = new Map<string, string>();
  readonly #index: LocalIndex;
  readonly #teardowns: Teardowns;
  readonly #mutex = new KeyedMutex();
  #closed = false;

  constructor(options: EndpointManagerOptions) {
    this.#options = options;
    this.#index = new LocalIndex(options.node);
    this.#teardowns = new Teardowns(options.log);
  }

  /**
   * Takes over what the store says: adopts links that are right, repairs, and sweeps links and addresses of endpoints that are not in the
   * store any more. Call once the store is in sync, static policy stands and IPAM has started.
   */
  async start(): Promise<void> {
    const { cache, fib, ipam, log, node } = this.#options;
    for (const resource of cache.list('WorkloadEndpoint')) this.onResource(resource, undefined);
    const wanted = new Set([...this.#attachments.keys()].map((id) => fib.links.nameOf(id)));
    for (const { ifname } of fib.links.list()) {
      if (wanted.has(ifname)) continue;
      log.info({ link: ifname }, 'removing the link of an endpoint that is not in the store');
      fib.links.detachLink(ifname);
    }
    const held = new Set([...this.#attachments.values()].map(({ desired }) => desired?.handle));
    await releaseUnheld(ipam, node, held, log);
  }

  /** A WorkloadEndpoint came, changed or went. */
  onResource(resource: WorkloadEndpoint | undefined, previous: WorkloadEndpoint | undefined): void {
    const { now: local, before } = this.#index.change(resource, previous);
    if (before !== undefined && before.id !== local?.id) this.#letGo(before);
    if (resource === undefined || local === undefined) return;
    const policyId = endpointId(resource.metadata.namespace ?? 'default', resource.metadata.name);
    const attachment = this.#attachments.get(local.id) ?? new Attachment(local.id, policyId, this.#options);
    this.#attachments.set(local.id, attachment);
    if (this.#awaited.has(local.id)) attachment.awaitTaking();
    this.#links.set(this.#options.fib.links.nameOf(local.id), local.id);
    attachment.want(local);
  }

  // Also when somebody deletes the resource by hand: the address goes back once the link is gone, unless the endpoint is there again.
  #letGo({ id, handle }: LocalEndpoint): void {
    this.#attachments.get(id)?.want(undefined);
    this.#teardowns.begin(id, () => this.#mutex.run(id, () => this.#finish(id, handle)));
  }

  /** The end of a detachment, in this order: link, address, and only then may there be another attachment of the same id. */
  async #finish(id: string, handle: string): Promise<void> {
    const attachment = this.#attachments.get(id);
    if (attachment === undefined || attachment.desired !== undefined) return;
    await attachment.settled(SETTLE_TIMEOUT_MS);
    if (attachment.desired !== undefined) return;
    await this.#options.ipam.releaseHandle(handle);
    if (attachment.desired === undefined) this.#forget(id);
  }

  #forget(id: string): void {
    this.#attachments.delete(id);
    this.#links.delete(this.#options.fib.links.nameOf(id));
  }

  /** Looks at all attachments again, for a change of the MTU. */
  refresh(): void {
    for (const attachment of this.#attachments.values()) attachment.refresh();
  }

  /** A host end of ours went away or was taken down, or its container took its end down and up again: look at its endpoint, and mend it. */
  onLinkChanged(ifname: string): void {
    const attachment = this.#attachments.get(this.#links.get(ifname) ?? '');
    // Its runtime takes it at any moment, also while it is being prepared.
    if (attachment?.state === 'up' || attachment?.desired?.isHanded === true) attachment.refresh();
  }

  /** Resolves when every endpoint has been tried once, or after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    await Promise.allSettled(
      [...this.#attachments.values()].map((attachment) => attachment.settled(timeoutMs)),
    );
  }

  get count(): number {
    return [...this.#attachments.values()].filter(({ desired }) => desired !== undefined).length;
  }

  /** Attaches what `ocicat endpoint add` asks for. As `attach`. */
  async add(request: EndpointRequest): Promise<EndpointView> {
    const order = orderOf(request, checkRequest(request));
    // Not for container runtimes, which may hold the ports themselves.
    await refuseHostPorts(order, this.find(order.id)?.spec.ports ?? []);
    return await this.attach(order);
  }

  /**
   * Attaches an endpoint and resolves once it can send, with its policy and its routes in the kernel; the same order again repairs and
   * gives the same addresses. What fails leaves nothing, or what was there before. Throws `ApiError`.
   */
  async attach(order: EndpointOrder): Promise<EndpointView> {
    return await this.#mutex.run(order.id, async () => {
      checkNamespace(order.netns);
      this.#refuseClosed();
      const { node, cache, ipam, store } = this.#options;
      const name = resourceName(node, order);
      const earlier = name === undefined ? undefined : cache.get('WorkloadEndpoint', name, order.namespace);
      refuseOther(order, name, [...this.#index.withId(order.id), ...this.#indexed(earlier)]);
      refusePorts(this.#options, order);
      const addresses = await assignAddresses(ipam, node, order, this.#teardowns);
      try {
        const make = (current: WorkloadEndpoint | undefined): WorkloadEndpoint =>
          makeChecked(node, order, addresses, current);
        const resource = await writeEndpoint(store, make(earlier), make);
        await this.#settle(order.id);
        refuseUnpublished(this.#options, order, resource);
        return this.#view(resource);
      } catch (error) {
        if (earlier === undefined) await this.#remove(order);
        else await writeEndpoint(store, earlier);
        throw error;
      }
    });
  }

  /**
   * Writes an endpoint whose addresses are held already, and resolves once the kernel has what it says. `isAwaited`: its container end is
   * made to wait for the container runtime that is about to take it. Throws `ApiError`.
   */
  async place(resource: WorkloadEndpoint, isAwaited = false): Promise<void> {
    const local = localEndpoint(resource, this.#options.node);
    if (local === undefined) throw problem('internal', 'an endpoint was made that is not of this node');
    await this.#mutex.run(local.id, async () => {
      this.#refuseClosed();
      if (isAwaited) {
        this.#awaited.add(local.id);
        this.#attachments.get(local.id)?.awaitTaking();
      }
      try {
        await writeEndpoint(this.#options.store, resource);
        await this.#settle(local.id);
      } finally {
        this.#awaited.delete(local.id);
      }
    });
  }

  /** Detaches an endpoint by the name that people know it by, whatever is gone already. */
  async delete(namespace: string, name: string): Promise<{ existed: boolean; released: string[] }> {
    const targets: EndpointTarget[] = this.locals().flatMap(({ resource, local }) => {
      const own = endpointName(resource);
      return own.namespace === namespace && own.name === name ? [local] : [];
    });
    if (targets.length === 0)
      targets.push({ id: localId({ namespace, name }), handle: handleOf({ namespace, name }) });
    const results = [];
    for (const target of targets) results.push(await this.detach(target));
    return {
      existed: results.some(({ existed }) => existed),
      released: results.flatMap(({ released }) => released),
    };
  }

  /** Detaches an endpoint, whatever is gone already: link, resource and everything that its handle holds. */
  async detach(target: EndpointTarget): Promise<{ existed: boolean; released: string[] }> {
    return await this.#mutex.run(target.id, () => this.#remove(target));
  }

  /**
   * As `detach`, but resolves as soon as the endpoint is out of the store and its traffic has ended; links, chains and addresses go
   * after that. An attachment of the same id waits for them, and an address is free only once nothing leads to it any more.
   */
  async detachSoon(target: EndpointTarget): Promise<void> {
    await this.#mutex.run(target.id, async () => {
      const found = this.#index.withId(target.id);
      const attachment = this.#attachments.get(target.id);
      if (found.length === 0 || attachment === undefined) {
        await this.#remove(target);
        return;
      }
      // The rest, in `#letGo`, waits in line behind this and before any later order.
      await this.#deleteResources(found);
      attachment.cut();
    });
  }

  /** The endpoint with an id, if it is one of this node. */
  find(id: string): WorkloadEndpoint | undefined {
    return this.#index.withId(id)[0]?.resource;
  }

  /** The endpoints of this node with their resources. */
  locals(): IndexedEndpoint[] {
    return this.#index.all();
  }

  /** With what the kernel side needs of it; nothing if it is not of this node. */
  #indexed(resource: WorkloadEndpoint | undefined): IndexedEndpoint[] {
    const local = resource && localEndpoint(resource, this.#options.node);
    return resource === undefined || local === undefined ? [] : [{ resource, local }];
  }

  /** Looks into the kernel. Returns what an attached endpoint lacks, in words; empty: nothing. */
  async verify(id: string): Promise<string[]> {
    return await this.#mutex.run(id, async () => {
      const attachment = this.#attachments.get(id);
      if (attachment === undefined) return ['it is not attached'];
      return await attachment.verify();
    });
  }

  /** All endpoints of this node, ordered by namespace and name, each as it is when it is asked for. */
  *views(): Generator<EndpointView> {
    const ids = new Set(this.locals().map(({ local }) => local.id));
    for (const id of ids) for (const { resource } of this.#index.withId(id)) yield this.#view(resource);
  }

  /** The first endpoints whose attachments are in one of these states, by id. */
  viewsIn(states: ReadonlySet<AttachmentState>, limit: number): EndpointView[] {
    return [...this.#attachments.values()]
      .filter(({ state }) => states.has(state))
      .map(({ id }) => id)
      .sort()
      .flatMap((id) => this.#index.withId(id))
      .slice(0, limit)
      .map(({ resource }) => this.#view(resource));
  }

  /** Stops all work; the kernel stays as it is. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#teardowns.close(CLOSE_TIMEOUT_MS);
    await Promise.all([...this.#attachments.values()].map((attachment) => attachment.close()));
  }

  #refuseClosed(): void {
    if (this.#closed) throw problem('unavailable', 'the agent is stopping');
  }

  async #settle(id: string): Promise<void> {
    const attachment = this.#attachments.get(id);
    if (attachment === undefined)
      throw problem('internal', `endpoint ${id} was written but the store has not announced it`);
    // An order that is stored already changes no resource, but what it asks for may have been taken away in the kernel.
    if (attachment.state === 'up') attachment.refresh();
    try {
      await attachment.settled(SETTLE_TIMEOUT_MS);
    } catch (error) {
      throw problem('invalid', error instanceof Error ? error.message : String(error));
    }
  }

  async #remove({ id, handle }: EndpointTarget): Promise<{ existed: boolean; released: string[] }> {
    const { ipam, fib } = this.#options;
    const attachment = this.#attachments.get(id);
    const found = this.#index.withId(id);
    await this.#deleteResources(found);
    let existed = found.length > 0;
    if (attachment !== undefined) {
      attachment.want(undefined);
      await attachment.settled(SETTLE_TIMEOUT_MS);
    } else existed = fib.removeEndpoint(id, []) || existed;
    const released = await ipam.releaseHandle(handle);
    if (attachment?.desired === undefined) this.#forget(id);
    return { existed: existed || released.length > 0, released: addressTexts(released) };
  }

  async #deleteResources(found: readonly IndexedEndpoint[]): Promise<void> {
    for (const { resource } of found) await deleteEndpoint(this.#options.store, resource);
  }

  #view(resource: WorkloadEndpoint): EndpointView {
    const local = localEndpoint(resource, this.#options.node);
    const policyId = endpointId(endpointName(resource).namespace, resource.metadata.name);
    return endpointView(
      resource,
      local && this.#attachments.get(local.id),
      this.#options.policiesOf(policyId),
    );
  }
}

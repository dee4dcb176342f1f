/**
 * The containers of this host: `endpoint add` and `delete`, and keeping the kernel as the WorkloadEndpoint resources say. An address is
 * assigned before the resource that names it is written, and released after the link is gone, so that a crash at any point loses none and
 * gives none twice.
 */
import { type ApiError, problem } from '../../api/problem.ts';
import type { EndpointRequest, EndpointView } from '../../api/views.ts';
import { endpointId } from '../../calc/items.ts';
import { containerName } from '../../calc/nat-graph.ts';
import { AddressUnavailable, IpamError } from '../../ipam/errors.ts';
import type { Ipam } from '../../ipam/ipam.ts';
import { readResource } from '../../model/registry.ts';
import { keyOf } from '../../model/types.ts';
import type { WorkloadEndpoint, WorkloadPort } from '../../model/workload-endpoint.ts';
import { type Address, formatAddress, parseAddress } from '../../net/address.ts';
import { AlreadyExists, NotFound, RevisionConflict } from '../../store/errors.ts';
import { KeyedMutex } from '../../store/keyed-mutex.ts';
import type { Store } from '../../store/types.ts';
import type { ResourceCache } from '../resources/cache.ts';
import { Attachment, type AttachmentContext } from './attachment.ts';
import { firstPortInUse } from './host-ports.ts';
import { type IndexedEndpoint, LocalIndex } from './local-index.ts';
import { checkNamespace } from './namespace-check.ts';
import { isPublished } from './ports.ts';
import {
  addressesOf,
  addressTexts,
  type EndpointOrder,
  endpointName,
  handleOf,
  identity,
  isEndpointHandle,
  type LocalEndpoint,
  localEndpoint,
  localId,
  makeEndpoint,
  NETNS_ANNOTATION,
  orderOf,
  resourceName,
} from './resource.ts';
import { Teardowns } from './teardown.ts';

export interface EndpointManagerOptions extends AttachmentContext {
  readonly node: string;
  readonly store: Store;
  readonly cache: ResourceCache;
  readonly ipam: Ipam;
  /** policies in force for an endpoint, by its id in the policy data plane */
  readonly policiesOf: (policyId: string) => readonly string[];
  /** why a container cannot publish these ports; undefined if it can */
  readonly portConflict: (container: string, ports: readonly WorkloadPort[]) => string | undefined;
  /** why published ports of an endpoint are not in force, by its id in the policy data plane */
  readonly portProblems: (policyId: string) => readonly string[];
}

/** What a detachment needs to know. */
export type EndpointTarget = Pick<LocalEndpoint, 'id' | 'handle'>;

const SETTLE_TIMEOUT_MS = 45_000;
/** An order that finds no address waits so long for those that are on their way back. */
const TEARDOWN_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 5_000;
const MAX_ATTEMPTS = 10;

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
    for (const resource of this.#options.cache.list('WorkloadEndpoint')) this.onResource(resource, undefined);
    const wanted = new Set([...this.#attachments.keys()].map((id) => this.#options.fib.links.nameOf(id)));
    for (const link of this.#options.fib.links.list()) {
      if (wanted.has(link.ifname)) continue;
      this.#options.log.info(
        { link: link.ifname },
        'removing the link of an endpoint that is not in the store',
      );
      this.#options.fib.links.detachLink(link.ifname);
    }
    const held = new Set([...this.#attachments.values()].map(({ desired }) => desired?.handle));
    for (const { handle, attributes } of await this.#options.ipam.assignments()) {
      const isOurs =
        isEndpointHandle(handle) ||
        (attributes['node'] === this.#options.node && attributes['ocicat'] === 'attachment');
      if (!isOurs || held.has(handle)) continue;
      const released = await this.#options.ipam.releaseHandle(handle);
      this.#options.log.info(
        { handle, released: addressTexts(released) },
        'released addresses of an endpoint that is not in the store',
      );
    }
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

  /** Addresses of endpoints that are attached, for advertisement. */
  attachedAddresses(): Address[] {
    return [...this.#attachments.values()].flatMap(({ state, desired }) =>
      state === 'up' ? (desired?.addresses ?? []) : [],
    );
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
    await this.#refuseHostPorts(order);
    return await this.attach(order);
  }

  /**
   * Attaches an endpoint and resolves once it can send, with its policy and its routes in the kernel; the same order again repairs and
   * gives the same addresses. What fails leaves nothing, or what was there before. Throws `ApiError`.
   */
  async attach(order: EndpointOrder): Promise<EndpointView> {
    return await this.#mutex.run(order.id, async () => {
      checkNamespace(order.netns);
      const { node, cache } = this.#options;
      const name = resourceName(node, order);
      const earlier = name === undefined ? undefined : cache.get('WorkloadEndpoint', name, order.namespace);
      this.#refuseOther(order, name);
      this.#refusePorts(order);
      const addresses = await this.#assign(order);
      try {
        const make = (current: WorkloadEndpoint | undefined): WorkloadEndpoint =>
          makeChecked(node, order, addresses, current);
        const resource = await this.#write(make(earlier), make);
        await this.#settle(order.id);
        this.#refuseUnpublished(order, resource);
        return this.#view(resource);
      } catch (error) {
        if (earlier === undefined) await this.#remove(order);
        else await this.#write(earlier);
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
      if (this.#closed) throw problem('unavailable', 'the agent is stopping');
      if (isAwaited) {
        this.#awaited.add(local.id);
        this.#attachments.get(local.id)?.awaitTaking();
      }
      try {
        await this.#write(resource);
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
    return this.#options.cache.list('WorkloadEndpoint').flatMap((resource) => {
      const local = localEndpoint(resource, this.#options.node);
      return local === undefined ? [] : [{ resource, local }];
    });
  }

  /** Looks into the kernel. Returns what an attached endpoint lacks, in words; empty: nothing. */
  async verify(id: string): Promise<string[]> {
    return await this.#mutex.run(id, async () => {
      const attachment = this.#attachments.get(id);
      if (attachment === undefined) return ['it is not attached'];
      return await attachment.verify();
    });
  }

  /** All endpoints of this node, ordered by namespace and name. */
  views(): EndpointView[] {
    return this.locals().map(({ resource }) => this.#view(resource));
  }

  /** Stops all work; the kernel stays as it is. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#teardowns.close(CLOSE_TIMEOUT_MS);
    await Promise.all([...this.#attachments.values()].map((attachment) => attachment.close()));
  }

  #refuseOther(order: EndpointOrder, name: string | undefined): void {
    if (this.#closed) throw problem('unavailable', 'the agent is stopping');
    const { cache, node } = this.#options;
    const named = name === undefined ? undefined : cache.get('WorkloadEndpoint', name, order.namespace);
    const local = named && localEndpoint(named, node);
    const sameName = named === undefined || local === undefined ? [] : [{ resource: named, local }];
    for (const { resource, local } of [...this.#index.withId(order.id), ...sameName]) {
      const isSame =
        resource.metadata.name === name && (resource.metadata.namespace ?? 'default') === order.namespace;
      if ((local.id === order.id) === isSame) continue;
      const other = endpointName(resource);
      throw problem(
        'conflict',
        `endpoint ${order.name} is attached already, by interface ${resource.spec.endpoint}`,
        { hint: `Detach it first: ocicat endpoint delete ${other.name} --namespace ${other.namespace}` },
      );
    }
  }

  #refusePorts(order: EndpointOrder): void {
    const container = containerName(order.namespace, identity(order));
    const conflict = this.#options.portConflict(container, order.ports ?? []);
    if (conflict !== undefined) throw publishProblem(order, conflict);
  }

  // Not for container runtimes, which may hold the ports themselves.
  async #refuseHostPorts(order: EndpointOrder): Promise<void> {
    const own = this.find(order.id)?.spec.ports ?? [];
    const fresh = (order.ports ?? []).filter(
      (port) =>
        !own.some(
          ({ protocol, hostPort, hostIP }) =>
            protocol === port.protocol && hostPort === port.hostPort && hostIP === port.hostIP,
        ),
    );
    const taken = await firstPortInUse(fresh);
    if (taken === undefined) return;
    const reason = `a process of this host listens on port ${taken.hostPort}/${String(taken.protocol).toLowerCase()}`;
    throw publishProblem(order, reason);
  }

  // Two that asked at the same moment, or a port of a family that the endpoint has no address of.
  #refuseUnpublished(order: EndpointOrder, resource: WorkloadEndpoint): void {
    const [reason] = this.#options.portProblems(endpointId(order.namespace, resource.metadata.name));
    if (reason !== undefined) throw publishProblem(order, reason);
  }

  async #assign(order: EndpointOrder): Promise<readonly Address[]> {
    const { ipam, node } = this.#options;
    const families = order.families ?? ipam.availableFamilies({ namespace: order.namespace });
    if (families.length === 0) {
      throw problem('unavailable', 'no address can be given: there is no IPPool for this node', {
        hint: 'Apply an IPPool; "ocicat status" prints the lines.',
      });
    }
    const { handle, namespace, name } = order;
    try {
      const assigned = await this.#afterTeardowns(
        async () =>
          await ipam.assign({
            handle,
            families,
            namespace,
            attributes: {
              node,
              namespace,
              endpoint: name,
              ocicat: 'attachment',
              ...(order.pod === undefined ? {} : { pod: order.pod }),
            },
            ...(order.addresses.length === 0 ? {} : { addresses: order.addresses }),
            ...(order.pools === undefined ? {} : { pools: order.pools }),
          }),
      );
      return assigned.map(({ address }) => address);
    } catch (error) {
      if (error instanceof AddressUnavailable) throw problem('conflict', error.message);
      if (error instanceof IpamError) throw problem('unavailable', error.message);
      throw error;
    }
  }

  /** The address that is missing may be that of an endpoint whose detachment was answered, but whose link is not gone yet. */
  async #afterTeardowns<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof IpamError) || this.#teardowns.count === 0) throw error;
      await this.#teardowns.settled(TEARDOWN_TIMEOUT_MS);
      return await work();
    }
  }

  /** `renew`: makes the resource from the present one, so that what a person just wrote into it is not lost. Returns what was written. */
  async #write(
    first: WorkloadEndpoint,
    renew: (current: WorkloadEndpoint | undefined) => WorkloadEndpoint = () => first,
  ): Promise<WorkloadEndpoint> {
    const { store } = this.#options;
    const key = keyOf(first);
    for (let attempt = 1; ; attempt++) {
      try {
        const current = await store.get(key);
        const present = current?.resource.kind === 'WorkloadEndpoint' ? current.resource : undefined;
        const resource = renew(present);
        if (current === undefined) await store.create(resource);
        else await store.update(resource, current.revision);
        return resource;
      } catch (error) {
        const raced =
          error instanceof RevisionConflict || error instanceof AlreadyExists || error instanceof NotFound;
        if (!raced || attempt >= MAX_ATTEMPTS) throw error;
      }
    }
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
    for (const { resource } of found) {
      try {
        await this.#options.store.delete(keyOf(resource));
      } catch (error) {
        if (!(error instanceof NotFound)) throw error;
      }
    }
  }

  #view(resource: WorkloadEndpoint): EndpointView {
    const { namespace, name } = endpointName(resource);
    const local = localEndpoint(resource, this.#options.node);
    const attachment = local && this.#attachments.get(local.id);
    const policyId = endpointId(namespace, resource.metadata.name);
    return {
      name,
      namespace,
      interface: resource.spec.interfaceName,
      addresses: addressTexts(addressesOf(resource)),
      mac: resource.spec.mac ?? '',
      mtu: attachment?.mtu ?? 0,
      netns: resource.metadata.annotations?.[NETNS_ANNOTATION] ?? '',
      state: attachment?.state ?? 'pending',
      ...(attachment?.reason === undefined ? {} : { reason: attachment.reason }),
      labels: resource.metadata.labels ?? {},
      profiles: resource.spec.profiles ?? [],
      policies: this.#options.policiesOf(policyId),
      published: (resource.spec.ports ?? []).filter(isPublished),
    };
  }
}

function makeChecked(
  node: string,
  order: EndpointOrder,
  addresses: readonly Address[],
  current: WorkloadEndpoint | undefined,
): WorkloadEndpoint {
  const resource = makeEndpoint(node, order, addresses, current);
  const checked = readResource(resource);
  if (checked.ok) return resource;
  const details = checked.errors.map(({ path, reason }) => ({
    kind: 'WorkloadEndpoint',
    name: order.name,
    path,
    reason,
  }));
  throw problem('invalid', `endpoint ${order.name} cannot be attached`, { details });
}

function publishProblem(order: EndpointOrder, reason: string): ApiError {
  return problem('conflict', `endpoint ${order.name} cannot publish its ports: ${reason}`, {
    hint: 'Publish it on another port or host address, or end the holder; "ocicat endpoints" and "ss -lnp" list them.',
  });
}

function checkRequest(request: EndpointRequest): Address[] {
  if (!request.netns.startsWith('/')) {
    throw problem(
      'invalid',
      `--netns ${request.netns}: must be an absolute path, such as /run/netns/NAME or /proc/PID/ns/net`,
    );
  }
  const addresses = (request.ips ?? []).map((text) => {
    const address = parseAddress(text);
    if (address === undefined) throw problem('invalid', `--ip ${text}: is no IPv4 or IPv6 address`);
    return address;
  });
  const families = addresses.map(({ family }) => family);
  if (new Set(families).size !== families.length) {
    throw problem(
      'invalid',
      `--ip: at most one address a family, got ${addresses.map(formatAddress).join(', ')}`,
    );
  }
  return addresses;
}

/**
 * The NetworkDriver half of the plugin. Join makes the veth pair and leaves the container end for Docker to take; from then on the
 * endpoint is a WorkloadEndpoint resource like any other. Whatever Docker takes back is taken back whether or not it is still there.
 */

import { isDeepStrictEqual } from 'node:util';
import { waitingLinkName } from '../../fib/endpoints/handed-link.ts';
import { containerMac, GATEWAYS, problemOfMac } from '../../fib/endpoints/plan.ts';
import { LINK_PREFIX } from '../agent/agent.ts';
import { firstPortInUse } from '../agent/endpoints/host-ports.ts';
import type { EndpointManager } from '../agent/endpoints/manager.ts';
import {
  addressesOf,
  macText,
  NETNS_ANNOTATION,
  NETWORK_ANNOTATION,
  parseMac,
} from '../agent/endpoints/resource.ts';
import type { ResourceCache } from '../agent/resources/cache.ts';
import { problem } from '../api/problem.ts';
import {
  type WorkloadEndpoint,
  type WorkloadPort,
  workloadEndpointName,
} from '../model/workload-endpoint.ts';
import { type Address, addressesEqual, formatAddress } from '../net/address.ts';
import { formatPrefix, hostPrefix, parseInterfaceAddress } from '../net/prefix.ts';
import { KeyedMutex } from '../store/keyed-mutex.ts';
import type { ContainerLabels } from './container-labels.ts';
import {
  type DockerEndpoint,
  handleOf,
  localIdOf,
  makeEndpoint,
  ORCHESTRATOR,
  portFreeAmong,
  publishedPorts,
} from './endpoint-resource.ts';
import { ADDRESS_SPACES } from './ipam-driver.ts';
import {
  createEndpoint,
  createNetwork,
  endpointOnly,
  join,
  networkOnly,
  type PortBinding,
  programConnectivity,
  read,
  readPortMap,
} from './messages.ts';
import { readNetworkOptions } from './network-options.ts';

/** StaticRoute's RouteType: a destination on the link itself. */
const CONNECTED = 1;

export interface NetworkDriverOptions {
  readonly node: string;
  readonly cache: ResourceCache;
  readonly endpoints: EndpointManager;
  readonly labels: ContainerLabels;
  /** an endpoint was made that has the address */
  readonly onClaimed: (address: Address) => void;
}

/** An endpoint that Docker has made, and joined if it has a sandbox. */
interface KnownEndpoint {
  readonly networkId: string;
  readonly addresses: readonly Address[];
  readonly mac: Uint8Array | undefined;
}

/** Answers for networks and endpoints. Every method takes a request's body and resolves with the answer's, or rejects. */
export class DockerNetworks {
  readonly #options: NetworkDriverOptions;
  /** made and not joined yet, or left and not deleted yet; the others are in the store */
  readonly #waiting = new Map<string, KnownEndpoint>();
  /** when endpoints were joined, milliseconds since 1970, as far as this process did it */
  readonly #joinedAt = new Map<string, number>();
  readonly #mutex = new KeyedMutex();

  constructor(options: NetworkDriverOptions) {
    this.#options = options;
  }

  createNetwork(body: unknown): object {
    const { NetworkID, Options, IPv4Data, IPv6Data } = read(createNetwork, body);
    for (const { AddressSpace } of [...IPv4Data, ...IPv6Data]) {
      if (ADDRESS_SPACES.includes(AddressSpace)) continue;
      throw problem(
        'invalid',
        'networks of driver ocicat take their addresses from IPPools: add --ipam-driver ocicat',
      );
    }
    const options = readNetworkOptions(Options);
    this.#options.labels.noteNetwork({ id: NetworkID, labels: {}, options });
    return {};
  }

  deleteNetwork(body: unknown): object {
    this.#options.labels.forgetNetwork(read(networkOnly, body).NetworkID);
    return {};
  }

  createEndpoint(body: unknown): object {
    const { NetworkID, EndpointID, Interface } = read(createEndpoint, body);
    const addresses = [Interface?.Address ?? '', Interface?.AddressIPv6 ?? ''].flatMap((text) =>
      text === '' ? [] : [readHostAddress(text)],
    );
    if (addresses.length === 0) throw problem('invalid', 'the endpoint has no address');
    const givenMac = Interface?.MacAddress ?? '';
    const mac = parseMac(givenMac);
    const macProblem = mac && problemOfMac(mac);
    if (macProblem !== undefined) throw problem('invalid', `--mac-address ${givenMac}: it ${macProblem}`);
    this.#waiting.set(EndpointID, { networkId: NetworkID, addresses, mac });
    for (const address of addresses) this.#options.onClaimed(address);
    // Docker refuses an answer that repeats what it has set itself.
    return { Interface: givenMac === '' ? { MacAddress: macText(containerMac(localIdOf(EndpointID))) } : {} };
  }

  async deleteEndpoint(body: unknown): Promise<object> {
    const { EndpointID } = read(endpointOnly, body);
    await this.#mutex.run(EndpointID, () => this.#detach(EndpointID));
    this.#waiting.delete(EndpointID);
    return {};
  }

  async join(body: unknown): Promise<object> {
    const { EndpointID, SandboxKey } = read(join, body);
    return await this.#mutex.run(EndpointID, async () => {
      const known = this.#known(EndpointID);
      if (known === undefined)
        throw problem('not-found', 'the endpoint is not known: start its container again');
      this.#refuseSecond(EndpointID, SandboxKey);
      const endpoint: DockerEndpoint = { id: EndpointID, ...known, sandbox: SandboxKey, ports: [] };
      const { labels, endpoints, node } = this.#options;
      labels.expect(EndpointID);
      this.#joinedAt.set(EndpointID, Date.now());
      try {
        const resource = makeEndpoint(node, endpoint, labels.networkOf(known.networkId), undefined);
        await endpoints.place(resource, true);
      } catch (error) {
        await this.#detach(EndpointID);
        throw error;
      }
      this.#waiting.delete(EndpointID);
      const families = [...new Set(known.addresses.map(({ family }) => family))];
      const gateway = (family: 'ipv4' | 'ipv6'): string =>
        families.includes(family) ? formatAddress(GATEWAYS[family]) : '';
      return {
        InterfaceName: { SrcName: waitingLinkName(localIdOf(EndpointID), LINK_PREFIX), DstPrefix: 'eth' },
        Gateway: gateway('ipv4'),
        GatewayIPv6: gateway('ipv6'),
        StaticRoutes: families.map((family) => ({
          Destination: formatPrefix(hostPrefix(GATEWAYS[family])),
          RouteType: CONNECTED,
          NextHop: '',
        })),
        DisableGatewayService: true,
      };
    });
  }

  async leave(body: unknown): Promise<object> {
    const { EndpointID } = read(endpointOnly, body);
    await this.#mutex.run(EndpointID, async () => {
      const known = this.#known(EndpointID);
      await this.#detach(EndpointID);
      if (known !== undefined) this.#waiting.set(EndpointID, known);
    });
    return {};
  }

  /** The host's ports lead to the container from now on. */
  async programConnectivity(body: unknown): Promise<object> {
    const { EndpointID, Options } = read(programConnectivity, body);
    await this.#setPorts(EndpointID, readPortMap(Options));
    return {};
  }

  async revokeConnectivity(body: unknown): Promise<object> {
    await this.#setPorts(read(endpointOnly, body).EndpointID, []);
    return {};
  }

  /** Detaches whatever endpoint of Docker's has an address. */
  async letGoOf(address: Address): Promise<void> {
    for (const resource of this.resources()) {
      if (!addressesOf(resource).some((own) => addressesEqual(own, address))) continue;
      const id = resource.spec.endpoint ?? '';
      await this.#mutex.run(id, () => this.#detach(id));
    }
  }

  /** Docker's endpoints on this node that are joined. */
  resources(): WorkloadEndpoint[] {
    return this.#options.endpoints
      .locals()
      .flatMap(({ resource }) => (resource.spec.orchestrator === ORCHESTRATOR ? [resource] : []));
  }

  /** The joined endpoint of an id. */
  resource(endpointId: string): WorkloadEndpoint | undefined {
    const { cache, node } = this.#options;
    const name = workloadEndpointName({ node, orchestrator: ORCHESTRATOR, endpoint: endpointId });
    return name === undefined ? undefined : cache.get('WorkloadEndpoint', name, ORCHESTRATOR);
  }

  /** When an endpoint was joined, milliseconds since 1970; 0: before this process. */
  joinedAt(endpointId: string): number {
    return this.#joinedAt.get(endpointId) ?? 0;
  }

  /** Whether Docker has made an endpoint with this address that is not joined. */
  isWaiting(address: Address): boolean {
    return [...this.#waiting.values()].some(({ addresses }) =>
      addresses.some((own) => addressesEqual(own, address)),
    );
  }

  /** Changes a joined endpoint, unless it is gone. */
  async change(
    endpointId: string,
    change: (resource: WorkloadEndpoint) => WorkloadEndpoint | Promise<WorkloadEndpoint>,
  ): Promise<void> {
    await this.#mutex.run(endpointId, async () => {
      const resource = this.resource(endpointId);
      const changed = resource && (await change(resource));
      if (changed !== undefined && !isDeepStrictEqual(changed, resource))
        await this.#options.endpoints.place(changed);
    });
  }

  /** Detaches an endpoint that Docker does not have any more. */
  async forget(endpointId: string): Promise<void> {
    await this.#mutex.run(endpointId, () => this.#detach(endpointId));
  }

  async #setPorts(endpointId: string, bindings: readonly PortBinding[]): Promise<void> {
    await this.change(endpointId, async (resource) => {
      const { ports: _, ...spec } = resource.spec;
      const ports = await this.#choosePorts(resource.metadata.name, bindings);
      return { ...resource, spec: ports.length === 0 ? spec : { ...spec, ports } };
    });
  }

  async #choosePorts(name: string, bindings: readonly PortBinding[]): Promise<WorkloadPort[]> {
    const { cache, node } = this.#options;
    const busy = new Set<string>();
    for (;;) {
      const isUnpublished = portFreeAmong(cache.list('WorkloadEndpoint'), node, name);
      const ports = publishedPorts(
        bindings,
        (protocol, port, address) =>
          !busy.has(`${protocol} ${port} ${address}`) && isUnpublished(protocol, port, address),
      );
      const taken = await firstPortInUse(ports);
      if (taken === undefined) return ports;
      busy.add(`${taken.protocol} ${taken.hostPort} ${taken.hostIP ?? ''}`);
    }
  }

  #known(endpointId: string): KnownEndpoint | undefined {
    const waiting = this.#waiting.get(endpointId);
    const resource = waiting === undefined ? this.resource(endpointId) : undefined;
    if (resource === undefined) return waiting;
    return {
      networkId: resource.metadata.annotations?.[NETWORK_ANNOTATION] ?? '',
      addresses: addressesOf(resource),
      mac: resource.spec.mac === undefined ? undefined : parseMac(resource.spec.mac),
    };
  }

  // Docker adds the same gateway route for each interface, and the second would fail in the middle of the container's start.
  #refuseSecond(endpointId: string, sandbox: string): void {
    const other = this.resources().find(
      ({ metadata, spec }) =>
        spec.endpoint !== endpointId && metadata.annotations?.[NETNS_ANNOTATION] === sandbox,
    );
    if (other === undefined) return;
    throw problem(
      'conflict',
      'the container is on an Ocicat network already, and one is all it needs: disconnect it from that first',
    );
  }

  async #detach(endpointId: string): Promise<void> {
    await this.#options.endpoints.detach({ id: localIdOf(endpointId), handle: handleOf(endpointId) });
    this.#options.labels.forget(endpointId);
    this.#joinedAt.delete(endpointId);
  }
}

function readHostAddress(text: string): Address {
  const parsed = parseInterfaceAddress(text);
  if (parsed === undefined) throw problem('invalid', `${text} is no address`);
  return parsed.address;
}

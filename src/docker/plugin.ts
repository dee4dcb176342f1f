/**
 * Docker's door: a plugin socket on which the engine finds the drivers `ocicat` for networks and addresses. It is opened once the agent
 * is ready; an engine that asks earlier tries again for some seconds. Socket and endpoints outlive a restart of either side.
 */
import type { Agent } from '../agent/agent.ts';
import {
  addressesOf,
  HANDED_ANNOTATION,
  NETNS_ANNOTATION,
  NETWORK_ANNOTATION,
  parseMac,
} from '../agent/endpoints/resource.ts';
import type { Log } from '../agent/log.ts';
import { ApiError, problem } from '../api/problem.ts';
import { type ApiHandler, type ApiRoutes, ApiServer } from '../api/server.ts';
import { poolOfResource } from '../ipam/pools.ts';
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { type Address, addressesEqual, formatAddress, parseAddress } from '../net/address.ts';
import { ContainerLabels } from './container-labels.ts';
import { type DockerContainer, type DockerNetwork, makeEndpoint } from './endpoint-resource.ts';
import { EngineApi, type EngineNetwork } from './engine-api.ts';
import { ADDRESS_SPACES, DockerIpam } from './ipam-driver.ts';
import { DockerNetworks } from './network-driver.ts';
import { UnclaimedAddresses } from './unclaimed.ts';

/** Name of the driver: what `docker network create -d` takes, and the name of the socket. */
export const DRIVER = 'ocicat';
/** What Docker made so recently may be missing from its own answers. */
const GRACE_MS = 30_000;

/**
 * Calls that change the store, refused while its contents move elsewhere. What Docker removes meanwhile it forgets all the same: the next
 * look at its networks after the lock finds that.
 */
const CHANGES: ReadonlySet<string> = new Set([
  'NetworkDriver.CreateEndpoint',
  'NetworkDriver.DeleteEndpoint',
  'NetworkDriver.Join',
  'NetworkDriver.Leave',
  'NetworkDriver.ProgramExternalConnectivity',
  'NetworkDriver.RevokeExternalConnectivity',
  'IpamDriver.RequestAddress',
  'IpamDriver.ReleaseAddress',
]);

/** The running door. */
export interface DockerPlugin {
  /** what the operator should know */
  problem(): string | undefined;
  close(): Promise<void>;
}

/** Opens the plugin socket. Rejects when it cannot be opened, or another process serves it. */
export async function openDockerPlugin(agent: Agent): Promise<DockerPlugin> {
  const { config, cache, endpoints, ipam } = agent;
  const log = agent.log.child({ component: 'docker' });
  const labels = new ContainerLabels({
    api: new EngineApi(config.docker.apiSocket),
    log,
    driver: DRIVER,
    onContainer: (endpointId, network, container) =>
      networks.change(endpointId, (resource) => withContainer(resource, network, container)),
    onPicture: (found, askedAt) => sweep(found, askedAt, networks, addresses, agent, log),
  });
  const unclaimed = new UnclaimedAddresses(GRACE_MS + 1000, () => labels.look());
  const onClaimed = (address: Address): void => unclaimed.claimed(formatAddress(address));
  const networks: DockerNetworks = new DockerNetworks({
    node: config.nodeName,
    cache,
    endpoints,
    labels,
    onClaimed,
  });
  const addresses = new DockerIpam({
    node: config.nodeName,
    ipam,
    pools: () => cache.list('IPPool').flatMap((pool) => poolOfResource(pool) ?? []),
    letGoOf: (address) => networks.letGoOf(address),
    onGiven: (address) => unclaimed.given(formatAddress(address)),
    onReleased: onClaimed,
  });

  for (const { spec, metadata } of networks.resources())
    if (metadata.annotations?.[HANDED_ANNOTATION] !== 'open') labels.expect(spec.endpoint ?? '');

  const locked = (): string | undefined => agent.store.lockReason();
  const server = new ApiServer(routes(networks, addresses, labels, locked, log), (error) =>
    log.error({ error }, "a call of Docker's failed"),
  );
  await server.listen(config.docker.pluginSocket);
  labels.start();
  log.info(
    { socket: config.docker.pluginSocket, api: config.docker.apiSocket },
    'Docker can use driver ocicat',
  );
  return {
    problem: () => {
      const found = labels.problem;
      if (found === undefined || found.waiting === 0) return undefined;
      return `${found.waiting} containers are closed, for Docker's API at ${config.docker.apiSocket} does not tell their labels: ${found.reason}`;
    },
    close: async () => {
      unclaimed.close();
      await labels.close();
      await server.close();
    },
  };
}

function routes(
  networks: DockerNetworks,
  addresses: DockerIpam,
  labels: ContainerLabels,
  locked: () => string | undefined,
  log: Log,
): ApiRoutes {
  const methods: Readonly<Record<string, (body: unknown) => object | Promise<object>>> = {
    'Plugin.Activate': () => ({ Implements: ['NetworkDriver', 'IpamDriver'] }),
    // The network is of this host, while its addresses are reachable from everywhere.
    'NetworkDriver.GetCapabilities': () => ({ Scope: 'local', ConnectivityScope: 'global' }),
    'NetworkDriver.CreateNetwork': (body) => networks.createNetwork(body),
    'NetworkDriver.DeleteNetwork': (body) => networks.deleteNetwork(body),
    'NetworkDriver.CreateEndpoint': (body) => networks.createEndpoint(body),
    'NetworkDriver.EndpointOperInfo': () => ({ Value: {} }),
    'NetworkDriver.DeleteEndpoint': (body) => networks.deleteEndpoint(body),
    'NetworkDriver.Join': (body) => networks.join(body),
    'NetworkDriver.Leave': (body) => networks.leave(body),
    'NetworkDriver.DiscoverNew': () => ({}),
    'NetworkDriver.DiscoverDelete': () => ({}),
    'NetworkDriver.ProgramExternalConnectivity': (body) => networks.programConnectivity(body),
    'NetworkDriver.RevokeExternalConnectivity': (body) => networks.revokeConnectivity(body),
    'IpamDriver.GetCapabilities': () => ({ RequiresMACAddress: false, RequiresRequestReplay: false }),
    'IpamDriver.GetDefaultAddressSpaces': () => ({
      LocalDefaultAddressSpace: ADDRESS_SPACES[0],
      GlobalDefaultAddressSpace: ADDRESS_SPACES[1],
    }),
    'IpamDriver.RequestPool': (body) => addresses.requestPool(body),
    'IpamDriver.ReleasePool': () => ({}),
    'IpamDriver.RequestAddress': (body) => addresses.requestAddress(body),
    'IpamDriver.ReleaseAddress': (body) => addresses.releaseAddress(body),
  };
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]): [string, ApiHandler] => [
      `POST /${name}`,
      async ({ body }) => {
        labels.noteAlive();
        try {
          const reason = CHANGES.has(name) ? locked() : undefined;
          if (reason !== undefined) throw problem('unavailable', `${reason}; try again when it is unlocked`);
          const json = await method(body);
          log.debug({ method: name, request: body, answer: json }, 'answered Docker');
          return { json };
        } catch (error) {
          // The protocol's own form of an error: status 200 and a sentence, which Docker shows to the user.
          const reason = error instanceof Error ? error.message : String(error);
          const details = error instanceof ApiError ? (error.problem.details ?? []) : [];
          const message = [reason, ...details.map((each) => `${each.path ?? ''}: ${each.reason}`)].join('; ');
          log.warn({ method: name, request: body, reason: message }, 'refused a call of Docker');
          // Of networks it is read from the one field, of IPAM from the other.
          return { json: { Err: message, Error: message } };
        }
      },
    ]),
  );
}

function withContainer(
  resource: WorkloadEndpoint,
  network: DockerNetwork,
  container: DockerContainer,
): WorkloadEndpoint {
  const { spec, metadata } = resource;
  return makeEndpoint(
    spec.node ?? '',
    {
      id: spec.endpoint ?? '',
      networkId: metadata.annotations?.[NETWORK_ANNOTATION] ?? '',
      addresses: addressesOf(resource),
      mac: parseMac(spec.mac ?? ''),
      sandbox: metadata.annotations?.[NETNS_ANNOTATION] ?? '',
      ports: spec.ports ?? [],
    },
    network,
    container,
  );
}

/**
 * Takes away what Docker does not have any more: it may have deleted endpoints and released addresses while nobody listened. An interface
 * that is still up in some namespace is left alone and named, for its container runs. Resolves to the time after which what is too young
 * to judge can be judged.
 */
async function sweep(
  found: readonly EngineNetwork[],
  askedAt: number,
  networks: DockerNetworks,
  addresses: DockerIpam,
  agent: Agent,
  log: Log,
): Promise<number | undefined> {
  if (agent.store.lockReason() !== undefined) return GRACE_MS;
  let isUndecided = false;
  const known = new Set(
    found.flatMap(({ Containers }) => Object.values(Containers).map(({ EndpointID }) => EndpointID)),
  );
  for (const { spec } of networks.resources()) {
    const id = spec.endpoint ?? '';
    if (known.has(id)) continue;
    if (networks.joinedAt(id) > askedAt - GRACE_MS) {
      isUndecided = true;
      continue;
    }
    if (agent.fib.kernel.links.byName(spec.interfaceName)?.hasCarrier === true) {
      log.warn(
        { endpoint: id, link: spec.interfaceName },
        'Docker does not know an endpoint whose interface is in use',
      );
      continue;
    }
    await networks.forget(id);
    log.info({ endpoint: id }, 'removed an endpoint that Docker does not have any more');
  }
  const reserved = found
    .flatMap(({ IPAM }) => (IPAM?.Config ?? []).flatMap((each) => Object.values(each.AuxiliaryAddresses)))
    .flatMap((text) => parseAddress(text) ?? []);
  for (const held of await addresses.held()) {
    const isUsed =
      networks.isWaiting(held.address) ||
      reserved.some((each) => addressesEqual(each, held.address)) ||
      networks.resources().some((each) => addressesOf(each).some((own) => addressesEqual(own, held.address)));
    if (isUsed) continue;
    if (held.since > askedAt - GRACE_MS) {
      isUndecided = true;
      continue;
    }
    await addresses.release(held);
    log.info(
      { address: formatAddress(held.address) },
      'released an address that Docker does not have any more',
    );
  }
  return isUndecided ? GRACE_MS : undefined;
}

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
import type { Finding } from '../api/views.ts';
import { poolOfResource } from '../ipam/pools.ts';
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { type Address, formatAddress } from '../net/address.ts';
import { ContainerLabels } from './container-labels.ts';
import { type DockerContainer, type DockerNetwork, makeEndpoint } from './endpoint-resource.ts';
import { EngineApi } from './engine-api.ts';
import { ADDRESS_SPACES, DockerIpam } from './ipam-driver.ts';
import { DockerNetworks } from './network-driver.ts';
import { lookAtProcesses } from './sandbox.ts';
import { DockerSweep, GRACE_MS, type LostEndpoint } from './sweep.ts';
import { UnclaimedAddresses } from './unclaimed.ts';

/** Name of the driver: what `docker network create -d` takes, and the name of the socket. */
export const DRIVER = 'ocicat';
/** After something happened to a link, for what follows from it to be known. */
const SETTLE_MS = 1000;
/** Rows of a kind beyond which findings are left out. */
const MAX_ROWS = 5;

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
  findings(): Finding[];
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
    onPicture: (found, askedAt) => sweep.look(found, askedAt),
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
  const { links } = agent.fib.kernel;
  const sweep = new DockerSweep({
    networks,
    addresses,
    lockReason: () => agent.store.lockReason(),
    hasCarrier: (link) => links.byName(link)?.hasCarrier,
    lookAtProcesses,
    leakGraceMs: config.ipam.leakGraceSec * 1000,
    log,
  });
  let lookTimer: NodeJS.Timeout | undefined;
  const endListening = links.onChange(({ before }) => {
    if (lookTimer !== undefined || before === undefined || !sweep.concerns(before.name)) return;
    lookTimer = setTimeout(() => {
      lookTimer = undefined;
      labels.look();
    }, SETTLE_MS);
    lookTimer.unref();
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
    findings: () => [...closedFindings(labels, config.docker.apiSocket), ...lostFindings(sweep.lost)],
    close: async () => {
      endListening();
      clearTimeout(lookTimer);
      unclaimed.close();
      await labels.close();
      await server.close();
    },
  };
}

function closedFindings(labels: ContainerLabels, apiSocket: string): Finding[] {
  const found = labels.problem;
  if (found === undefined || found.waiting === 0) return [];
  return [
    {
      severity: 'error',
      code: 'docker',
      message: `${found.waiting} containers are closed, for Docker's API at ${apiSocket} does not tell their labels: ${found.reason}`,
    },
  ];
}

function lostFindings(lost: readonly LostEndpoint[]): Finding[] {
  return lost.slice(0, MAX_ROWS).map(({ workload, sign }) => ({
    severity: sign === undefined ? 'info' : 'warning',
    code: 'docker-lost-endpoint',
    message: `Docker does not know endpoint libnetwork/${workload}; ${sign === undefined ? 'nothing speaks for it, and it is removed if that stays so for the grace time of addresses' : `it stays, since ${sign}`}`,
    remedy: `ocicat endpoint delete ${workload} --namespace libnetwork   # if its container is gone`,
  }));
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

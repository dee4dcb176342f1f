/**
 * Why an order for an endpoint cannot be met: what it asks for is no good, another endpoint has the name or the ports, a process of the host
 * listens there. All throw `ApiError` with what to do about it.
 */
import { type ApiError, problem } from '../../api/problem.ts';
import type { EndpointRequest } from '../../api/views.ts';
import { endpointId } from '../../calc/items.ts';
import { containerName } from '../../calc/nat-graph.ts';
import { readResource } from '../../model/registry.ts';
import type { WorkloadEndpoint, WorkloadPort } from '../../model/workload-endpoint.ts';
import { type Address, formatAddress, parseAddress } from '../../net/address.ts';
import { firstPortInUse } from './host-ports.ts';
import type { IndexedEndpoint } from './local-index.ts';
import { type EndpointOrder, endpointName, identity, makeEndpoint } from './resource.ts';

/** Who knows of published ports. */
export interface PortKeeper {
  /** why a container cannot publish these ports; undefined if it can */
  readonly portConflict: (container: string, ports: readonly WorkloadPort[]) => string | undefined;
  /** why published ports of an endpoint are not in force, by its id in the policy data plane */
  readonly portProblems: (policyId: string) => readonly string[];
}

/** The addresses that a request asks for. Refuses a path or an address that is none. */
export function checkRequest(request: EndpointRequest): Address[] {
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

/** Refuses an order whose endpoint is attached by another interface. `name`: of the order's resource; `present`: who has its id or that name. */
export function refuseOther(
  order: EndpointOrder,
  name: string | undefined,
  present: readonly IndexedEndpoint[],
): void {
  for (const { resource, local } of present) {
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

/** Refuses ports that another container publishes. */
export function refusePorts({ portConflict }: PortKeeper, order: EndpointOrder): void {
  const conflict = portConflict(containerName(order.namespace, identity(order)), order.ports ?? []);
  if (conflict !== undefined) throw publishProblem(order, conflict);
}

/** Refuses ports on which processes of the host listen, but for those that the endpoint publishes already. */
export async function refuseHostPorts(order: EndpointOrder, own: readonly WorkloadPort[]): Promise<void> {
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

/** Refuses an attached endpoint whose ports are not in force: two asked at the same moment, or it has no address of a port's family. */
export function refuseUnpublished(
  { portProblems }: PortKeeper,
  order: EndpointOrder,
  resource: WorkloadEndpoint,
): void {
  const [reason] = portProblems(endpointId(order.namespace, resource.metadata.name));
  if (reason !== undefined) throw publishProblem(order, reason);
}

/** The resource of an order, made from the present one if there is any. Refuses what the model does. */
export function makeChecked(
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

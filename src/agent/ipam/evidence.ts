/**
 * Signs of life of an address, from the store and this host's kernel and runtimes. Whatever cannot be told counts as a sign of life: an
 * address is freed only when every place where its user would show was looked at and is empty.
 */
import { foreignRoutesOfAddress, viewOfPrefix } from '../../../fib/routes/inspect.ts';
import type { LinkTable } from '../../../fib/routes/link-table.ts';
import type { RouteTable } from '../../../fib/routes/route-table.ts';
import { type Address, addressBits, addressesEqual } from '../../net/address.ts';
import { hostPrefix } from '../../net/prefix.ts';
import {
  addressesOf,
  endpointName,
  HANDLE_ANNOTATION,
  handleOf,
  isEndpointHandle,
  ORCHESTRATOR,
} from '../endpoints/resource.ts';
import type { ResourceCache } from '../resources/cache.ts';
import type { HeldAddress } from './leaks.ts';

/** Why a handle's user is known to be alive, or undefined. Container runtimes give one each for the handles that they make. */
export type Holder = (handle: string) => string | undefined;

/** What this host's kernel shows of an address. */
export interface KernelEvidence {
  /** all of it is known, up to now */
  readonly isCurrent: () => boolean;
  /** it is an address of an interface of this host */
  readonly owns: (address: Address) => boolean;
  /** name of the host's end of an endpoint of ours, if that is there */
  readonly linkOf: (endpointId: string) => string | undefined;
  /** we have, or want, a route to the address alone */
  readonly hasRoute: (address: Address) => boolean;
  /** somebody else has one */
  readonly hasForeignRoute: (address: Address) => boolean;
}

/** Where to look. */
export interface EvidenceSources {
  readonly cache: Pick<ResourceCache, 'list'>;
  readonly kernel: KernelEvidence;
  readonly holders: readonly Holder[];
}

/** The parts of the agent that know the kernel. */
export interface KernelParts {
  readonly links: LinkTable;
  readonly routes: RouteTable;
  /** the host end's name of an endpoint of ours */
  readonly linkNameOf: (endpointId: string) => string;
}

/** What these parts show. */
export function kernelEvidence({ links, routes, linkNameOf }: KernelParts): KernelEvidence {
  return {
    isCurrent: () => routes.kernel.isCurrent,
    owns: (address) => links.owns(address),
    linkOf: (endpointId) => links.byName(linkNameOf(endpointId))?.name,
    hasRoute: (address) => {
      const route = viewOfPrefix(routes, hostPrefix(address));
      return route?.kernel !== undefined || route?.desired !== undefined;
    },
    hasForeignRoute: (address) =>
      foreignRoutesOfAddress(routes, address).some(
        ({ prefix }) => prefix.length === addressBits(prefix.family),
      ),
  };
}

/** Why the address must stay; undefined: nothing speaks for it. */
export function signOfLife(sources: EvidenceSources, held: HeldAddress): string | undefined {
  const { handle, address } = held;
  if (handle === '') return 'nobody is recorded as its holder';
  if (held.attributes['type'] !== undefined) return `it belongs to the host (${held.attributes['type']})`;
  if (!isContainers(held)) return 'it is not known what would show its use';
  for (const resource of sources.cache.list('WorkloadEndpoint')) {
    if (addressesOf(resource).some((each) => addressesEqual(each, address)))
      return `WorkloadEndpoint ${resource.metadata.name} has it`;
    if (resource.spec.containerID !== undefined && handle.endsWith(`.${resource.spec.containerID}`))
      return `WorkloadEndpoint ${resource.metadata.name} is of its container`;
    if ((resource.metadata.annotations?.[HANDLE_ANNOTATION] ?? handleOf(endpointName(resource))) === handle)
      return `WorkloadEndpoint ${resource.metadata.name} is its holder`;
  }
  return inKernel(sources.kernel, held) ?? firstOf(sources.holders, handle);
}

// Attachments of ours, and `NETWORK.CONTAINER-ID`, which Calico and every CNI plugin use.
function isContainers({ handle, attributes }: HeldAddress): boolean {
  return (
    isEndpointHandle(handle) || attributes['ocicat'] === 'attachment' || /\.[0-9a-f]{12,64}$/.test(handle)
  );
}

function inKernel(kernel: KernelEvidence, { handle, address }: HeldAddress): string | undefined {
  if (!kernel.isCurrent()) return 'the kernel state is not known now';
  if (kernel.owns(address)) return 'it is an address of this host';
  const id = isEndpointHandle(handle) ? handle.slice(ORCHESTRATOR.length + 1) : undefined;
  const link = id === undefined ? undefined : kernel.linkOf(id);
  if (link !== undefined) return `its link ${link} is there`;
  if (kernel.hasRoute(address)) return 'there is a route to it';
  return kernel.hasForeignRoute(address) ? 'somebody else has a route to it' : undefined;
}

function firstOf(holders: readonly Holder[], handle: string): string | undefined {
  for (const holder of holders) {
    const reason = holder(handle);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

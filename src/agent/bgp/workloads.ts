/** BGPPeer.spec.localWorkloadSelector on a host: which containers a selector means, and the address by which they know this host. */
import { HostEndAddresses } from '../../../fib/endpoints/host-addresses.ts';
import type { FibProgrammer } from '../../../fib/programmer.ts';
import type { Finding } from '../../api/views.ts';
import type { Selector } from '../../calc/selector/ast.ts';
import { parseSelector } from '../../calc/selector/parse.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import type { Address } from '../../net/address.ts';
import { localEndpoint } from '../endpoints/resource.ts';
import type { ResourceSource } from '../resources/overlay.ts';
import type { LocalWorkload, NodePeer } from './peer-types.ts';

/** Containers of this node by selector: their own labels and those of their profiles. Those whose link is not there yet are left out. */
export function localWorkloads(
  node: string,
  source: Pick<ResourceSource, 'get'>,
  matching: (selector: Selector) => readonly ResourceKey[],
  fib: Pick<FibProgrammer, 'kernel' | 'links'>,
): (text: string) => LocalWorkload[] {
  return (text) => {
    const parsed = parseSelector(text);
    if (!parsed.ok) return [];
    return matching(parsed.selector).flatMap((key) => {
      if (key.kind !== 'WorkloadEndpoint') return [];
      const resource = source.get('WorkloadEndpoint', key.name, key.namespace);
      const local = resource && localEndpoint(resource, node);
      if (local === undefined) return [];
      const link = fib.links.nameOf(local.id);
      if (fib.kernel.links.byName(link) === undefined) return [];
      return [{ link, addresses: local.addresses }];
    });
  };
}

/** Keeps the addresses on the containers' links in step with the peers. */
export class WorkloadAddresses {
  readonly #fib: Pick<FibProgrammer, 'kernel'>;
  readonly #addresses = new HostEndAddresses();

  constructor(fib: Pick<FibProgrammer, 'kernel'>) {
    this.#fib = fib;
  }

  /** Returns what the kernel refused. */
  set(peers: readonly NodePeer[]): Finding[] {
    const wanted = new Map<string, Address[]>();
    for (const { workload } of peers) {
      if (workload === undefined) continue;
      wanted.set(workload.link, [...(wanted.get(workload.link) ?? []), workload.from]);
    }
    const { kernel } = this.#fib;
    const problems = this.#addresses.set(wanted, kernel.links.all());
    kernel.drain();
    return problems.map((message) => ({ severity: 'error', code: 'peer-address', message }));
  }

  close(): void {
    this.#addresses.close();
  }
}

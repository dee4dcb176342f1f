/** The addresses of this host's endpoints: given to orders, and taken back from endpoints that are not in the store any more. */
import { problem } from '../../api/problem.ts';
import { AddressUnavailable, IpamError } from '../../ipam/errors.ts';
import type { Ipam } from '../../ipam/ipam.ts';
import type { Address } from '../../net/address.ts';
import type { Log } from '../log.ts';
import { addressTexts, type EndpointOrder, isEndpointHandle } from './resource.ts';
import type { Teardowns } from './teardown.ts';

/** An order that finds no address waits so long for those that are on their way back. */
const TEARDOWN_TIMEOUT_MS = 5_000;
/** attribute of an assignment that says who made it */
const MARK = { name: 'ocicat', value: 'attachment' } as const;

/** The addresses that an order's handle holds, assigned now or before. Throws `ApiError` if there are none for it. */
export async function assignAddresses(
  ipam: Ipam,
  node: string,
  order: EndpointOrder,
  teardowns: Teardowns,
): Promise<readonly Address[]> {
  const families = order.families ?? ipam.availableFamilies({ namespace: order.namespace });
  if (families.length === 0) {
    throw problem('unavailable', 'no address can be given: there is no IPPool for this node', {
      hint: 'Apply an IPPool; "ocicat status" prints the lines.',
    });
  }
  const { handle, namespace, name } = order;
  try {
    const assigned = await afterTeardowns(
      teardowns,
      async () =>
        await ipam.assign({
          handle,
          families,
          namespace,
          attributes: {
            node,
            namespace,
            endpoint: name,
            [MARK.name]: MARK.value,
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

/** Releases what handles of this node's endpoints hold, but for those in `held`. */
export async function releaseUnheld(
  ipam: Ipam,
  node: string,
  held: ReadonlySet<string | undefined>,
  log: Log,
): Promise<void> {
  for (const { handle, attributes } of await ipam.assignments()) {
    const isOurs =
      isEndpointHandle(handle) || (attributes['node'] === node && attributes[MARK.name] === MARK.value);
    if (!isOurs || held.has(handle)) continue;
    const released = await ipam.releaseHandle(handle);
    log.info(
      { handle, released: addressTexts(released) },
      'released addresses of an endpoint that is not in the store',
    );
  }
}

/** The address that is missing may be that of an endpoint whose detachment was answered, but whose link is not gone yet. */
async function afterTeardowns<T>(teardowns: Teardowns, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof IpamError) || teardowns.count === 0) throw error;
    await teardowns.settled(TEARDOWN_TIMEOUT_MS);
    return await work();
  }
}

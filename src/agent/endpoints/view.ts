/** An endpoint as the API shows it. */
import type { EndpointView } from '../../api/views.ts';
import type { WorkloadEndpoint } from '../../model/workload-endpoint.ts';
import type { Attachment } from './attachment.ts';
import { isPublished } from './ports.ts';
import { addressesOf, addressTexts, endpointName, NETNS_ANNOTATION } from './resource.ts';

/** What the store says, beside how far its attachment is (undefined: not begun) and the policies in force for it. */
export function endpointView(
  resource: WorkloadEndpoint,
  attachment: Attachment | undefined,
  policies: readonly string[],
): EndpointView {
  const { namespace, name } = endpointName(resource);
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
    policies,
    published: (resource.spec.ports ?? []).filter(isPublished),
  };
}

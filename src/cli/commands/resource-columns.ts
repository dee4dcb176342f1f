/** The columns that `ocicat get KIND` shows, in calicoctl's manner. */
import type { Kind } from '../../model/kinds.ts';
import { kindInfo } from '../../model/kinds.ts';
import type { Column } from '../output/table.ts';
import type { ResourceJson } from './resources.ts';

/** Title, path inside the resource, and whether only `-o wide` shows it. */
type FieldColumn = readonly [title: string, path: string, wide?: 'wide'];

const FIELDS: Readonly<Record<Kind, readonly FieldColumn[]>> = {
  Node: [
    ['ASN', 'spec.bgp.asNumber'],
    ['IPV4', 'spec.bgp.ipv4Address'],
    ['IPV6', 'spec.bgp.ipv6Address'],
  ],
  BGPConfiguration: [
    ['ASNUMBER', 'spec.asNumber'],
    ['MESHENABLED', 'spec.nodeToNodeMeshEnabled'],
    ['LISTENPORT', 'spec.listenPort'],
  ],
  BGPPeer: [
    ['PEERIP', 'spec.peerIP'],
    ['NODE', 'spec.node'],
    ['NODESELECTOR', 'spec.nodeSelector'],
    ['ASN', 'spec.asNumber'],
  ],
  BGPFilter: [
    ['EXPORTV4', 'spec.exportV4'],
    ['IMPORTV4', 'spec.importV4'],
    ['EXPORTV6', 'spec.exportV6'],
    ['IMPORTV6', 'spec.importV6'],
  ],
  IPPool: [
    ['CIDR', 'spec.cidr'],
    ['SELECTOR', 'spec.nodeSelector'],
    ['BLOCKSIZE', 'spec.blockSize'],
    ['NAT', 'spec.natOutgoing', 'wide'],
    ['IPIPMODE', 'spec.ipipMode', 'wide'],
    ['VXLANMODE', 'spec.vxlanMode', 'wide'],
    ['DISABLED', 'spec.disabled'],
  ],
  IPReservation: [['RESERVEDCIDRS', 'spec.reservedCIDRs']],
  IPAMConfiguration: [
    ['STRICTAFFINITY', 'spec.strictAffinity'],
    ['MAXBLOCKSPERHOST', 'spec.maxBlocksPerHost'],
  ],
  BlockAffinity: [
    ['NODE', 'spec.node'],
    ['CIDR', 'spec.cidr'],
    ['STATE', 'spec.state'],
  ],
  WorkloadEndpoint: [
    ['WORKLOAD', 'spec.workload'],
    ['NODE', 'spec.node'],
    ['NETWORKS', 'spec.ipNetworks'],
    ['INTERFACE', 'spec.interfaceName'],
    ['PROFILES', 'spec.profiles', 'wide'],
    ['MAC', 'spec.mac', 'wide'],
  ],
  GlobalNetworkPolicy: [
    ['ORDER', 'spec.order'],
    ['SELECTOR', 'spec.selector'],
    ['TYPES', 'spec.types', 'wide'],
  ],
  NetworkPolicy: [
    ['ORDER', 'spec.order'],
    ['SELECTOR', 'spec.selector'],
    ['TYPES', 'spec.types', 'wide'],
  ],
  GlobalNetworkSet: [['NETS', 'spec.nets']],
  NetworkSet: [['NETS', 'spec.nets']],
  Profile: [['LABELS', 'spec.labelsToApply']],
};

export function resourceColumns(kind: Kind, wide: boolean): Column<ResourceJson>[] {
  const fields = FIELDS[kind].filter(([, , only]) => wide || only === undefined);
  return [
    ...(kindInfo(kind).namespaced
      ? [{ title: 'NAMESPACE', cell: (row: ResourceJson) => row.metadata.namespace ?? 'default' }]
      : []),
    { title: 'NAME', cell: (row) => row.metadata.name },
    ...fields.map(([title, path]): Column<ResourceJson> => ({ title, cell: (row) => fieldText(row, path) })),
  ];
}

function fieldText(resource: ResourceJson, path: string): string {
  let at: unknown = resource;
  for (const key of path.split('.')) at = isRecord(at) ? at[key] : undefined;
  if (at === undefined || at === null || at === '') return '-';
  if (Array.isArray(at)) {
    return at.every((item) => typeof item === 'string') ? at.join(',') : `${at.length} rules`;
  }
  if (isRecord(at))
    return Object.entries(at)
      .map(([key, value]) => `${key}=${String(value)}`)
      .join(',');
  return String(at);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** What a valid BGP resource cannot ask of this product, beside the rows of the support table. */
import { readBgpSettings } from './bgp-annotations.ts';
import { type BgpConfiguration, DEFAULT_BGP_CONFIGURATION } from './bgp-configuration.ts';
import type { BgpPassword } from './bgp-password.ts';
import type { BgpPeer } from './bgp-peer.ts';
import { parseDurationMs } from './scalars.ts';
import type { Problem } from './schema.ts';
import type { Resource } from './types.ts';

/** RFC 4724 3: twelve bits. */
const RESTART_TIME_MAX_MS = 4_095_000;
/** Fields of BGPConfiguration that concern the whole cluster. */
const CLUSTER_FIELDS = ['nodeToNodeMeshEnabled', 'asNumber'] as const;

/** Why the resource must not be taken. */
export function bgpProblems(resource: BgpPeer | BgpConfiguration): Problem[] {
  const { settings, problems } = readBgpSettings(resource.metadata.annotations);
  const common = (field: string, password: BgpPassword | undefined): Problem[] =>
    password !== undefined && settings['password-file'] === undefined
      ? [
          {
            path: `spec.${field}`,
            reason:
              'names a Kubernetes Secret, which is not there off Kubernetes: name a file on the hosts by the annotation ocicat.dev/password-file',
          },
        ]
      : [];
  if (resource.kind === 'BGPConfiguration') {
    return [
      ...problems,
      ...common('nodeMeshPassword', resource.spec.nodeMeshPassword),
      ...restartTimeProblems('nodeMeshMaxRestartTime', resource.spec.nodeMeshMaxRestartTime),
      ...configurationProblems(resource),
    ];
  }
  return [
    ...problems,
    ...common('password', resource.spec.password),
    ...restartTimeProblems('maxRestartTime', resource.spec.maxRestartTime),
    ...peerProblems(resource),
  ];
}

/** What of the resource will have no effect. */
export function bgpWarnings(resource: Resource): readonly Problem[] {
  if (resource.kind !== 'BGPPeer' && resource.kind !== 'BGPConfiguration') return [];
  return readBgpSettings(resource.metadata.annotations).unknown;
}

function peerProblems({ spec }: BgpPeer): Problem[] {
  // The table says what there is to say of these.
  if (spec.localWorkloadSelector !== undefined || spec.peerSelector !== undefined) return [];
  if (spec.peerIP === undefined) {
    return [
      {
        path: 'spec.peerIP',
        reason: 'missing: the address of the peer (or spec.peerSelector, to peer with nodes)',
      },
    ];
  }
  return (spec.asNumber ?? 0) === 0
    ? [{ path: 'spec.asNumber', reason: 'missing: the AS number of the peer' }]
    : [];
}

function configurationProblems({ metadata, spec }: BgpConfiguration): Problem[] {
  if (metadata.name === DEFAULT_BGP_CONFIGURATION) return [];
  if (!metadata.name.startsWith('node.') || metadata.name === 'node.') {
    return [
      {
        path: 'metadata.name',
        reason: `must be ${DEFAULT_BGP_CONFIGURATION}, or node.NAME for the settings of one node`,
      },
    ];
  }
  return CLUSTER_FIELDS.filter((field) => spec[field] !== undefined).map((field) => ({
    path: `spec.${field}`,
    reason: `concerns all nodes: set it in BGPConfiguration ${DEFAULT_BGP_CONFIGURATION}`,
  }));
}

function restartTimeProblems(field: string, text: string | undefined): Problem[] {
  const ms = text === undefined ? undefined : parseDurationMs(text);
  if (ms === undefined || (ms >= 0 && ms <= RESTART_TIME_MAX_MS)) return [];
  return [{ path: `spec.${field}`, reason: 'must be from 0 to 4095 s (RFC 4724 3)' }];
}

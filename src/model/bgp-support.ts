/** What a valid BGP resource cannot ask of this product, beside the rows of the support table. */

import { isLinkLocal, parseAddress } from '../net/address.ts';
import { type BgpSettings, readBgpSettings } from './bgp-annotations.ts';
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

/** Settings that only a BGPPeer can have. */
const PEER_SETTINGS = ['template', 'peer-group', 'listen-range', 'listen-limit', 'remote-as'] as const;

/** Why the resource must not be taken. */
export function bgpProblems(resource: BgpPeer | BgpConfiguration): Problem[] {
  const { settings, problems } = readBgpSettings(resource.metadata.annotations);
  const common = (field: string, password: BgpPassword | undefined): Problem[] =>
    password !== undefined && settings['password-file'] === undefined && settings['peer-group'] === undefined
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
      ...meshSettingProblems(settings),
      ...common('nodeMeshPassword', resource.spec.nodeMeshPassword),
      ...restartTimeProblems('nodeMeshMaxRestartTime', resource.spec.nodeMeshMaxRestartTime),
      ...configurationProblems(resource),
      ...peeringAddressProblems(resource.spec),
    ];
  }
  return [
    ...problems,
    ...common('password', resource.spec.password),
    ...restartTimeProblems('maxRestartTime', resource.spec.maxRestartTime),
    ...peerProblems(resource, settings),
  ];
}

/** What of the resource will have no effect. */
export function bgpWarnings(resource: Resource): readonly Problem[] {
  if (resource.kind !== 'BGPPeer' && resource.kind !== 'BGPConfiguration') return [];
  return readBgpSettings(resource.metadata.annotations).unknown;
}

function peerProblems({ spec }: BgpPeer, settings: BgpSettings): Problem[] {
  const problems: Problem[] = [];
  const group = settings.template === true ? 'template' : 'listen-range';
  const isGroup = settings.template === true || settings['listen-range'] !== undefined;
  if (isGroup) {
    for (const field of ['peerIP', 'peerSelector', 'localWorkloadSelector', 'reachableBy'] as const) {
      if (spec[field] === undefined) continue;
      problems.push({
        path: `spec.${field}`,
        reason: `cannot be set beside ocicat.dev/${group}: it names peers itself`,
      });
    }
  }
  if (settings['remote-as'] !== undefined) {
    if ((spec.asNumber ?? 0) !== 0)
      problems.push({ path: 'spec.asNumber', reason: 'cannot be set beside ocicat.dev/remote-as' });
    if (spec.peerSelector !== undefined)
      problems.push({
        path: 'spec.peerSelector',
        reason: 'cannot be set beside ocicat.dev/remote-as: the nodes have their own',
      });
  }
  // The table says what there is to say of these.
  if (spec.localWorkloadSelector !== undefined || spec.peerSelector !== undefined) return problems;
  if (settings.template === true) return problems;
  if (spec.peerIP === undefined && !isGroup && settings.interface === undefined) {
    problems.push({
      path: 'spec.peerIP',
      reason:
        'missing: the address of the peer (or spec.peerSelector, to peer with nodes, or ocicat.dev/interface, to peer with whoever is on that link)',
    });
  }
  // A group may have it.
  const hasAs =
    (spec.asNumber ?? 0) !== 0 || settings['remote-as'] !== undefined || settings['peer-group'] !== undefined;
  if (problems.length === 0 && !hasAs)
    problems.push({ path: 'spec.asNumber', reason: 'missing: the AS number of the peer' });
  return problems;
}

// It stands on many links at once.
function peeringAddressProblems({ localWorkloadPeeringIPV6 }: BgpConfiguration['spec']): Problem[] {
  const address = localWorkloadPeeringIPV6 === undefined ? undefined : parseAddress(localWorkloadPeeringIPV6);
  return address !== undefined && isLinkLocal(address)
    ? [
        {
          path: 'spec.localWorkloadPeeringIPV6',
          reason:
            'must not be link-local: containers reach it over their gateway; take a unique local one, such as fd00::179',
        },
      ]
    : [];
}

// The mesh is made of nodes, which are named one by one.
function meshSettingProblems(settings: BgpSettings): Problem[] {
  return PEER_SETTINGS.filter((name) => settings[name] !== undefined).map((name) => ({
    path: `metadata.annotations["ocicat.dev/${name}"]`,
    reason: 'is for a BGPPeer, not for the mesh of BGPConfiguration',
  }));
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

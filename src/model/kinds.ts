/**
 * Every resource kind that Calico's v3 API knows: its names on the command line, whether it lives in a namespace, and whether this
 * version of Ocicat implements it.
 */

/** The API version of every resource. */
export const API_VERSION = 'projectcalico.org/v3';

/** Implemented kinds, in the order in which tables and documentation list them. */
export const KINDS = [
  'Node',
  'BGPConfiguration',
  'BGPPeer',
  'BGPFilter',
  'IPPool',
  'IPReservation',
  'IPAMConfiguration',
  'BlockAffinity',
  'WorkloadEndpoint',
  'GlobalNetworkPolicy',
  'NetworkPolicy',
  'GlobalNetworkSet',
  'NetworkSet',
  'Profile',
] as const;

/** The name of an implemented kind, as written in `kind:`. */
export type Kind = (typeof KINDS)[number];

/** What is known of a kind apart from its schema. */
export interface KindInfo {
  readonly kind: Kind;
  /** lower-case plural, the name of its folder in the embedded store and of its key in etcd */
  readonly plural: string;
  /** further lower-case names accepted on the command line */
  readonly aliases: readonly string[];
  readonly namespaced: boolean;
}

const INFO: Readonly<Record<Kind, Omit<KindInfo, 'kind'>>> = {
  Node: { plural: 'nodes', aliases: ['no'], namespaced: false },
  BGPConfiguration: { plural: 'bgpconfigurations', aliases: ['bgpconfig', 'bgpconfigs'], namespaced: false },
  BGPPeer: { plural: 'bgppeers', aliases: ['bgpp', 'bgpps', 'bp', 'bps'], namespaced: false },
  BGPFilter: { plural: 'bgpfilters', aliases: [], namespaced: false },
  IPPool: { plural: 'ippools', aliases: ['ipp', 'ipps', 'pool', 'pools'], namespaced: false },
  IPReservation: { plural: 'ipreservations', aliases: ['ipres', 'iprs', 'ipr'], namespaced: false },
  IPAMConfiguration: {
    plural: 'ipamconfigurations',
    aliases: ['ipamconfig', 'ipamconfigs'],
    namespaced: false,
  },
  BlockAffinity: { plural: 'blockaffinities', aliases: ['affinity', 'affinities'], namespaced: false },
  WorkloadEndpoint: {
    plural: 'workloadendpoints',
    aliases: ['workloadep', 'workloadeps', 'wep', 'weps'],
    namespaced: true,
  },
  GlobalNetworkPolicy: { plural: 'globalnetworkpolicies', aliases: ['gnp', 'gnps'], namespaced: false },
  NetworkPolicy: {
    plural: 'networkpolicies',
    aliases: ['np', 'nps', 'policy', 'policies'],
    namespaced: true,
  },
  GlobalNetworkSet: { plural: 'globalnetworksets', aliases: ['gns'], namespaced: false },
  NetworkSet: { plural: 'networksets', aliases: ['netset', 'netsets'], namespaced: true },
  Profile: { plural: 'profiles', aliases: ['pro', 'pros'], namespaced: false },
};

/** Kinds of Calico that exist but that this version does not implement. They are refused by name, never ignored. */
export const LATER_KINDS: readonly string[] = [
  'HostEndpoint',
  'Tier',
  'FelixConfiguration',
  'ClusterInformation',
  'CalicoNodeStatus',
  'KubeControllersConfiguration',
  'IPAMBlock',
  'IPAMHandle',
  'StagedGlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
];

/** Whether the text names an implemented kind, with Calico's capitals. */
export function isKind(text: string): text is Kind {
  return Object.hasOwn(INFO, text);
}

/** Names, scope and aliases of a kind. */
export function kindInfo(kind: Kind): KindInfo {
  return { kind, ...INFO[kind] };
}

const BY_NAME: ReadonlyMap<string, Kind> = new Map(
  KINDS.flatMap((kind): [string, Kind][] => [
    [kind.toLowerCase(), kind],
    [INFO[kind].plural, kind],
    ...INFO[kind].aliases.map((alias): [string, Kind] => [alias, kind]),
  ]),
);

/** The kind that a person means by `gnp`, `ippools`, `Node`...: singular, plural or alias, in any case. */
export function kindByName(text: string): Kind | undefined {
  return BY_NAME.get(text.toLowerCase());
}

/**
 * Calico's kinds that this version does not carry out, when they stand in a shared etcd: whether that matters here, so that a cluster
 * of Calico hosts is not one long list of problems.
 */

/** Kinds that other programs read, or that concern other hosts' software only; by plural. */
const HARMLESS: ReadonlySet<string> = new Set([
  'clusterinformations',
  'caliconodestatuses',
  'kubecontrollersconfigurations',
  'ipamconfigs',
  'stagedglobalnetworkpolicies',
  'stagednetworkpolicies',
  'stagedkubernetesnetworkpolicies',
]);
/** Calico makes these tiers itself; policies in the last four are resources of their own and are judged there. */
const BUILT_IN_TIERS: ReadonlySet<string> = new Set([
  'default',
  'adminnetworkpolicy',
  'baselineadminnetworkpolicy',
  'kube-admin',
  'kube-baseline',
]);

/** Why a stored resource of a kind that is not implemented is worth a word, or undefined. */
export function problemOfOtherKind(plural: string, name: string): string | undefined {
  if (HARMLESS.has(plural)) return undefined;
  if (plural === 'tiers' && BUILT_IN_TIERS.has(name)) return undefined;
  if (plural === 'felixconfigurations' && name.startsWith('node.')) return undefined;
  return `${plural} are not supported by this version of Ocicat: this one has no effect on this host`;
}

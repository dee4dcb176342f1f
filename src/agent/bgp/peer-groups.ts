/** Peer groups: BGPPeers with what their group says where they say nothing themselves. Resolved here, once; sessions know no groups. Pure. */
import type { Finding } from '../../api/views.ts';
import { type BgpSettings, readBgpSettings, settingConflicts } from '../../model/bgp-annotations.ts';
import type { BgpPeer, BgpPeerSpec } from '../../model/bgp-peer.ts';

/** Whom a BGPPeer names, and on which nodes: its own matter. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'node',
  'nodeSelector',
  'peerIP',
  'peerSelector',
  'localWorkloadSelector',
  'reachableBy',
  'reversePeering',
] satisfies readonly (keyof BgpPeerSpec)[]);
const OWN_SETTINGS: ReadonlySet<string> = new Set([
  'template',
  'peer-group',
  'listen-range',
  'listen-limit',
  'interface',
] satisfies readonly (keyof BgpSettings)[]);
/** Fields of which one takes the other's place. */
const RIVALS = [
  ['nextHopMode', 'keepOriginalNextHop'],
  ['keepOriginalNextHop', 'nextHopMode'],
] as const;

/** A BGPPeer that makes sessions, with everything that holds for it. */
export interface ResolvedPeer {
  readonly name: string;
  readonly spec: BgpPeerSpec;
  readonly settings: BgpSettings;
  /** name of the BGPPeer that is its group */
  readonly group?: string;
}

/** All but the groups themselves, in order of name, and what is wrong with their settings. A member whose group is not there makes no session. */
export function resolvePeers(peers: readonly BgpPeer[]): {
  readonly peers: readonly ResolvedPeer[];
  readonly findings: readonly Finding[];
} {
  const findings: Finding[] = [];
  const read = [...peers]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .map(({ metadata, spec }): ResolvedPeer => {
      const { settings, problems, unknown } = readBgpSettings(metadata.annotations);
      findings.push(...[...problems, ...unknown].map((each) => settingFinding(metadata.name, each)));
      return { name: metadata.name, spec, settings };
    });
  const groups = new Map(
    read.flatMap((each) => (each.settings.template === true ? [[each.name, each]] : [])),
  );
  const resolved: ResolvedPeer[] = [];
  for (const peer of read) {
    if (peer.settings.template === true) continue;
    const name = peer.settings['peer-group'];
    if (name === undefined) {
      resolved.push(peer);
      continue;
    }
    const group = groups.get(name);
    if (group === undefined) {
      findings.push({
        severity: 'error',
        code: 'peer-group-missing',
        message: `BGPPeer ${peer.name} names the peer group ${name}, which ${
          read.some((each) => each.name === name) ? 'has no ocicat.dev/template: "true"' : 'does not exist'
        }; it makes no session`,
        remedy: `apply BGPPeer ${name} with the annotation ocicat.dev/template: "true"`,
      });
      continue;
    }
    const member = withGroup(peer, group);
    findings.push(...settingConflicts(member.settings).map((each) => settingFinding(peer.name, each)));
    resolved.push(member);
  }
  return { peers: resolved, findings };
}

function withGroup(peer: ResolvedPeer, group: ResolvedPeer): ResolvedPeer {
  const spec: BgpPeerSpec = { ...inherited(group.spec, OWN_FIELDS), ...peer.spec };
  const settings: BgpSettings = { ...inherited(group.settings, OWN_SETTINGS), ...peer.settings };
  const dropped: (keyof BgpPeerSpec)[] = RIVALS.flatMap(([own, rival]) =>
    peer.spec[own] !== undefined && peer.spec[rival] === undefined ? [rival] : [],
  );
  // One of the two says the AS; nodes that a selector chooses have their own.
  const saysAs = peer.settings['remote-as'] !== undefined;
  if (saysAs || peer.spec.peerSelector !== undefined) dropped.push('asNumber');
  const droppedSettings =
    (peer.spec.asNumber ?? 0) !== 0 || peer.spec.peerSelector !== undefined ? ['remote-as'] : [];
  return {
    name: peer.name,
    group: group.name,
    spec: inherited(spec, new Set<string>(dropped)),
    settings: inherited(settings, new Set(droppedSettings)),
  };
}

/** Without these keys. */
function inherited<T extends object>(values: T, without: ReadonlySet<string>): Partial<T> {
  const result: Partial<T> = { ...values };
  for (const key of Object.keys(values)) if (without.has(key)) Reflect.deleteProperty(result, key);
  return result;
}

function settingFinding(name: string, { path, reason }: { path: string; reason: string }): Finding {
  return {
    severity: 'warning',
    code: 'peer-setting',
    message: `BGPPeer ${name}: ${path} ${reason}`,
    remedy: `mend it in BGPPeer ${name}`,
  };
}

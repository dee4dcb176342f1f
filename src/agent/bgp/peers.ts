/**
 * From resources to the peers of this node. Pure: resources and the host's subnets in, peer configurations and findings out.
 */
import { checkPeers, PeerConfigError } from '../../../bgp/speaker/config.ts';
import { checkGroups } from '../../../bgp/speaker/dynamic-peers.ts';
import { peerKey } from '../../../bgp/speaker/peer-key.ts';
import type { DynamicPeers } from '../../../bgp/types.ts';
import { compareAddresses, isLinkLocal, parseAddress } from '../../net/address.ts';
import { networkAddress, prefixContains, prefixContainsAddress } from '../../net/prefix.ts';
import { sessionPolicies } from './filters.ts';
import { makePeerConfig, type PeerBase } from './peer-config.ts';
import { type ResolvedPeer, resolvePeers } from './peer-groups.ts';
import { Findings, PeerTargets, type Target } from './peer-targets.ts';
import {
  DEFAULT_BGP_PORT,
  type NodePeer,
  type NodeRange,
  type PeerInputs,
  type PeerSelection,
} from './peer-types.ts';

/** Sessions from a range at a time, as FRR has it. */
const LISTEN_LIMIT = 100;

/** The peers of this node, in order of address; two resources that name one address are a finding and the first by name holds. */
export function selectPeers(inputs: PeerInputs): PeerSelection {
  return new Selection(inputs).run();
}

class Selection {
  readonly #in: PeerInputs;
  readonly #findings = new Findings();
  readonly #targets: PeerTargets;
  readonly #byAddress = new Map<string, NodePeer>();
  readonly #ranges: NodeRange[] = [];

  constructor(inputs: PeerInputs) {
    this.#in = inputs;
    this.#targets = new PeerTargets(inputs, this.#findings);
  }

  run(): PeerSelection {
    const resolved = resolvePeers(this.#in.peers);
    this.#findings.all.push(...resolved.findings);
    for (const peer of resolved.peers) {
      if (peer.settings['listen-range'] !== undefined) this.#addRanges(peer);
      else for (const target of this.#targets.of(peer)) this.#add(target, true);
    }
    for (const target of this.#targets.mesh()) this.#add(target, false);
    this.#checkKeys();
    return {
      peers: [...this.#byAddress.values()].sort((a, b) =>
        compareAddresses(a.config.address, b.config.address),
      ),
      ranges: this.#ranges,
      findings: this.#findings.all,
    };
  }

  #add(target: Target, report: boolean): void {
    const peer = this.#configure(target);
    const { name, address, interface: device } = peer.config;
    const key = peerKey(address, device);
    if (this.#isUnusable(peer.resource, () => checkPeers([peer.config]))) return;
    const earlier = this.#byAddress.get(key);
    if (earlier === undefined) {
      this.#byAddress.set(key, peer);
      return;
    }
    // A node that is named by a peer resource as well as by the mesh or by two selectors is one peer all the same.
    if (!report || (target.spec.peerIP === undefined && target.unnumbered !== true)) return;
    this.#findings.warn(
      'peer-duplicate',
      `${earlier.resource} and ${peer.resource} both name ${name}; ${earlier.resource} is in force`,
      'remove one of them',
    );
  }

  // One that the speaker refuses must not keep the others from being set.
  #isUnusable(resource: string, check: () => void): boolean {
    try {
      check();
      return false;
    } catch (error) {
      if (!(error instanceof PeerConfigError)) throw error;
      this.#findings.error(
        'peer-invalid',
        `${resource} cannot be used: ${error.message}`,
        `mend ${resource}`,
      );
      return true;
    }
  }

  #addRanges({ name, spec, settings, group }: ResolvedPeer): void {
    const resource = `BGPPeer ${name}`;
    if (!this.#targets.appliesTo(spec, this.#in.node) || settings.shutdown === true) return;
    const peerAs = this.#targets.peerAs(resource, spec, settings);
    if (peerAs === undefined) return;
    for (const prefix of settings['listen-range'] ?? []) {
      const address = networkAddress(prefix);
      const common = { resource, group, spec, settings, address, port: DEFAULT_BGP_PORT, peerAs };
      const target = { ...common, passive: true, peerNode: undefined };
      const connected = this.#in.connected.some((subnet) => prefixContains(subnet, prefix));
      const base = this.#base(target, connected);
      // Without its key a session would be open to everybody.
      if (base.password === 'unavailable') continue;
      const {
        name: _name,
        address: _address,
        passive: _passive,
        adminDown: _down,
        ...template
      } = makePeerConfig(base);
      const range: DynamicPeers = { name, prefix, limit: settings['listen-limit'] ?? LISTEN_LIMIT, template };
      const others = this.#ranges.map((each) => each.range);
      if (this.#isUnusable(resource, () => checkGroups([...others, range]))) continue;
      this.#ranges.push({ range, ...originOf(target) });
    }
  }

  // The kernel asks for a range's key of everybody in it who has none of their own.
  #checkKeys(): void {
    for (const { range, resource } of this.#ranges) {
      if (range.template.password === undefined) continue;
      for (const { config, resource: peer } of this.#byAddress.values()) {
        if (config.password !== undefined || !prefixContainsAddress(range.prefix, config.address)) continue;
        this.#findings.warn(
          'peer-key-of-range',
          `${peer} has no ocicat.dev/password-file, but ${config.name} is in a listen-range of ${resource}, which has: it cannot dial us`,
          `give ${peer} a key too, or take it out of the range`,
        );
      }
    }
  }

  #configure(target: Target): NodePeer {
    const { spec, address } = target;
    const connected =
      target.unnumbered === true ||
      (address.family === 'ipv6' && isLinkLocal(address)) ||
      this.#in.connected.some((subnet) => prefixContainsAddress(subnet, address));
    const gateway = spec.reachableBy === undefined ? undefined : parseAddress(spec.reachableBy);
    return {
      config: makePeerConfig(this.#base(target, connected)),
      ...originOf(target),
      ...(target.unnumbered === true && { unnumbered: true }),
      ...(target.workload !== undefined && { workload: target.workload }),
      ...(gateway !== undefined && { reachableBy: gateway }),
    };
  }

  #base(target: Target, connected: boolean): PeerBase {
    const { node } = this.#in;
    const { spec, address, resource } = target;
    const policies = sessionPolicies(
      this.#in.policy,
      spec.filters ?? [],
      target.workload?.link ?? target.settings.interface ?? this.#in.interfaceTo(address),
    );
    for (const name of policies.missing) {
      this.#findings.warn(
        'filter-missing',
        `${resource} names BGPFilter ${name}, which does not exist`,
        `apply BGPFilter ${name}, or take it out of spec.filters`,
      );
    }
    return {
      address,
      unnumbered: target.unnumbered,
      port: target.port,
      peerAs: target.peerAs,
      passive: target.passive,
      connected,
      link: this.#linkTo(target, connected),
      nodeAs: node.asNumber,
      nodeAddress: target.workload?.from ?? node.addresses[address.family]?.address,
      reflects:
        this.#targets.clusterId !== undefined &&
        target.peerNode?.spec.bgp?.routeReflectorClusterID !== this.#targets.clusterId,
      spec,
      settings: target.settings,
      policies,
      password: this.#password(target),
    };
  }

  // Undefined as well where several links lead to the peer: none of them takes the session down with it.
  #linkTo({ address, settings }: Target, connected: boolean): string | undefined {
    const { onlyLinkTo } = this.#in;
    if (onlyLinkTo === undefined) return undefined;
    return settings.interface ?? (connected ? onlyLinkTo(address) : undefined);
  }

  #password({ settings, resource }: Target): PeerBase['password'] {
    const file = settings['password-file'];
    if (file === undefined) return undefined;
    const result = this.#in.password(file);
    if ('password' in result) return { key: result.password };
    this.#findings.error(
      'password-unavailable',
      `${resource}: ${result.problem}; the session stays down`,
      `install -m 600 -o root /dev/stdin ${file}`,
    );
    return 'unavailable';
  }
}

function originOf({ resource, group, spec }: Target): Pick<NodePeer, 'resource' | 'group' | 'filters'> {
  return { resource, ...(group !== undefined && { group }), filters: spec.filters ?? [] };
}

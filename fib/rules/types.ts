/**
 * What the policy data plane is told: sets, policies, profiles and endpoints as small changes, already resolved to set ids
 * (selectors, namespaces and named ports are gone). The shape follows what Calico's calculation graph hands to its data plane.
 */
import type { Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';

/** What a set holds: CIDRs of one or both families, or address-protocol-port triples for named ports. */
export type SetType = 'net' | 'ip-port';

/**
 * A member in canonical text. `net`: `10.0.0.0/8`, `10.1.2.3/32`, `2001:db8::/64` (the family is told by the text; each family has
 * its own kernel set). `ip-port`: `10.1.2.3,tcp:8080`, `fd00::1,udp:53`.
 */
export type SetMember = string;

/** Stable id of a set: made from the canonical selector (and named port), at most 20 characters of [A-Za-z0-9_-]. */
export type SetId = string;

/** Stable id of a policy or profile, also used in rule comments: `gnp/NAME`, `np/NAMESPACE/NAME`, `profile/NAME`. */
export type PolicyId = string;

export type RuleAction = 'allow' | 'deny' | 'log' | 'pass';

/** Inclusive range, 0..65535. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** ICMP type 0..254 and optionally code 0..255. */
export interface IcmpMatch {
  readonly type: number;
  readonly code?: number;
}

/**
 * One side of a rule. Absent fields match everything, and an empty list is like an absent one, as in Calico's resources; present ones
 * are ANDed, list members ORed.
 */
export interface RuleSide {
  /** CIDRs in canonical text, any mix of families: a rule is rendered for a family only with that family's CIDRs. */
  readonly nets?: readonly string[];
  readonly notNets?: readonly string[];
  /** every set must contain the address (AND) */
  readonly sets?: readonly SetId[];
  /** no set may contain the address */
  readonly notSets?: readonly SetId[];
  /** numeric ports, ORed with `portSets` */
  readonly ports?: readonly PortRange[];
  /** named ports: ip-port sets, ORed with `ports` */
  readonly portSets?: readonly SetId[];
  readonly notPorts?: readonly PortRange[];
  readonly notPortSets?: readonly SetId[];
}

/** A protocol as its IANA number, 1..255. */
export type ProtocolNumber = number;

export interface Rule {
  readonly action: RuleAction;
  /** restricts the rule to one family */
  readonly family?: Family;
  readonly protocol?: ProtocolNumber;
  readonly notProtocol?: ProtocolNumber;
  readonly icmp?: IcmpMatch;
  readonly notIcmp?: IcmpMatch;
  readonly source?: RuleSide;
  readonly destination?: RuleSide;
  /** annotations of the rule's metadata, shown in comments */
  readonly comment?: string;
}

/** Rules of a policy or profile. An empty list for a direction that the policy does not apply to. */
export interface PolicyRules {
  readonly ingress: readonly Rule[];
  readonly egress: readonly Rule[];
}

/** The policies of one tier that select an endpoint, in order of evaluation. */
export interface EndpointTier {
  readonly name: string;
  /** what becomes of a packet that no policy of this tier decided, applied only for directions with a policy */
  readonly defaultAction: 'deny' | 'pass';
  readonly ingress: readonly PolicyId[];
  readonly egress: readonly PolicyId[];
}

/** A local workload endpoint as policy sees it. */
export interface EndpointPolicy {
  /** host-side link name, at most 15 octets */
  readonly interfaceName: string;
  /** false drops everything */
  readonly adminUp: boolean;
  readonly tiers: readonly EndpointTier[];
  /**
   * Profiles, run in order after the tiers when no tier has a policy for the direction or all passed. An unknown profile
   * drops all that reaches it.
   */
  readonly profiles: readonly PolicyId[];
  /** the endpoint's own addresses (/32, /128 text): the only source addresses it may use */
  readonly addresses: readonly string[];
}

/** A port of this host that leads to a workload, in one family: all addresses are of it. */
export interface PublishedPort {
  readonly family: Family;
  /** TCP 6, UDP 17 or SCTP 132 */
  readonly protocol: ProtocolNumber;
  /** 1..65535 */
  readonly hostPort: number;
  /** canonical text of one of this host's addresses; absent: all of them */
  readonly hostAddress?: string;
  /** the workload's, canonical text */
  readonly address: string;
  /** 1..65535 */
  readonly port: number;
}

/** What forgets connections that were translated by mappings of the past. Both may throw; they are called again then. */
export interface FlowForgetter {
  /** UDP mappings that came or went, once the kernel has them so. */
  forget(ports: readonly PublishedPort[]): void;
  /** Once after the start: flows to addresses of the pools that none of the mappings explains. */
  forgetStrays(pools: readonly Prefix[], ports: readonly PublishedPort[]): void;
}

/** One change of address translation. */
export type NatChange =
  | {
      readonly kind: 'nat-pools';
      /** canonical CIDRs, both families: what leaves these for addresses outside `all` gets an address of this host */
      readonly masquerade: readonly string[];
      readonly all: readonly string[];
    }
  | {
      readonly kind: 'published-upsert';
      /** of the endpoint, as in `PolicyChange` */
      readonly id: string;
      readonly ports: readonly PublishedPort[];
    }
  | { readonly kind: 'published-remove'; readonly id: string };

/** One change. Upserts carry the whole new value; sets also change by members. */
export type PolicyChange =
  | {
      readonly kind: 'set-upsert';
      readonly id: SetId;
      readonly type: SetType;
      readonly members: ReadonlySet<SetMember>;
    }
  | {
      readonly kind: 'set-delta';
      readonly id: SetId;
      readonly added: readonly SetMember[];
      readonly removed: readonly SetMember[];
    }
  | { readonly kind: 'set-remove'; readonly id: SetId }
  | { readonly kind: 'policy-upsert'; readonly id: PolicyId; readonly rules: PolicyRules }
  | { readonly kind: 'policy-remove'; readonly id: PolicyId }
  | { readonly kind: 'endpoint-upsert'; readonly id: string; readonly endpoint: EndpointPolicy }
  | { readonly kind: 'endpoint-remove'; readonly id: string };

/** BGPFilter: ordered import and export rules that BGPPeers name. */
import type { ResourceOf } from './metadata-types.ts';
import { asNumber, isCommunity, network } from './scalars.ts';
import {
  type Fields,
  integer,
  list,
  object,
  oneOf,
  optional,
  type Problems,
  required,
  type Schema,
  show,
  text,
} from './schema.ts';

export interface PrefixLengthRange {
  readonly min?: number;
  readonly max?: number;
}

/** Exactly one of the fields is set. */
export interface BgpFilterOperation {
  readonly addCommunity?: { readonly value: string };
  readonly prependASPath?: { readonly prefix: readonly number[] };
  readonly setPriority?: { readonly value: number };
}

export interface BgpFilterRule {
  readonly cidr?: string;
  readonly prefixLength?: PrefixLengthRange;
  readonly source?: 'RemotePeers';
  /** link name with `*` wildcards */
  readonly interface?: string;
  readonly matchOperator?: 'Equal' | 'NotEqual' | 'In' | 'NotIn';
  readonly peerType?: 'eBGP' | 'iBGP';
  readonly communities?: { readonly values: readonly string[] };
  readonly asPathPrefix?: readonly number[];
  readonly priority?: number;
  readonly action: 'Accept' | 'Reject';
  readonly operations?: readonly BgpFilterOperation[];
}

export interface BgpFilterSpec {
  readonly exportV4?: readonly BgpFilterRule[];
  readonly importV4?: readonly BgpFilterRule[];
  readonly exportV6?: readonly BgpFilterRule[];
  readonly importV6?: readonly BgpFilterRule[];
}

export type BgpFilter = ResourceOf<'BGPFilter', BgpFilterSpec>;

const MAX_PRIORITY = 2147483646;

const community = text((value) =>
  isCommunity(value) && value.split(':').every((part) => part === String(Number(part)))
    ? undefined
    : `${show(value)} is not a community: expected aa:nn or aa:nn:mm`,
);

/** A list with at least one element (an empty one is not the same as none). */
function someOf<T>(element: Schema<T>, limit: number): Schema<readonly T[]> {
  const all = list(element, limit);
  return {
    read(input, path, problems) {
      if (!Array.isArray(input) || input.length > 0) return all.read(input, path, problems);
      problems.add(path, 'must hold at least one element');
      return undefined;
    },
  };
}

const operation = object<BgpFilterOperation>(
  {
    addCommunity: optional(object<{ value: string }>({ value: required(community) })),
    prependASPath: optional(
      object<{ prefix: readonly number[] }>({ prefix: required(someOf(asNumber(), 10)) }),
    ),
    setPriority: optional(object<{ value: number }>({ value: required(integer(1, MAX_PRIORITY)) })),
  },
  (value, path, problems) => {
    if (Object.keys(value).length !== 1) {
      problems.add(path, 'exactly one of addCommunity, prependASPath and setPriority must be set');
    }
  },
);

function rule(family: 'ipv4' | 'ipv6'): Schema<BgpFilterRule> {
  const bits = family === 'ipv4' ? 32 : 128;
  const fields: Fields<BgpFilterRule> = {
    cidr: optional(network(family)),
    prefixLength: optional(
      object<PrefixLengthRange>({ min: optional(integer(0, bits)), max: optional(integer(0, bits)) }),
    ),
    source: optional(oneOf('RemotePeers')),
    interface: optional(
      text((value) =>
        /^[a-zA-Z0-9_.*-]{1,15}$/.test(value)
          ? undefined
          : `${show(value)} is not a link name or pattern of at most 15 characters`,
      ),
    ),
    matchOperator: optional(oneOf('Equal', 'NotEqual', 'In', 'NotIn')),
    peerType: optional(oneOf('eBGP', 'iBGP')),
    communities: optional(object<{ values: readonly string[] }>({ values: required(someOf(community, 1)) })),
    asPathPrefix: optional(list(asNumber())),
    priority: optional(integer(1, MAX_PRIORITY)),
    action: required(oneOf('Accept', 'Reject')),
    operations: optional(list(operation, 10)),
  };
  return object(fields, checkRule);
}

function checkRule(value: BgpFilterRule, path: string, problems: Problems): void {
  if ((value.cidr === undefined) !== (value.matchOperator === undefined)) {
    const missing = value.cidr === undefined ? 'cidr' : 'matchOperator';
    problems.add(`${path}.${missing}`, 'cidr and matchOperator must both be set or both be empty');
  }
  if (value.prefixLength !== undefined && value.cidr === undefined) {
    problems.add(`${path}.cidr`, 'is required when prefixLength is set');
  }
  if ((value.operations ?? []).length > 0 && value.action !== 'Accept') {
    problems.add(`${path}.operations`, 'operations may only be used with action Accept');
  }
}

export const bgpFilterSpec = object<BgpFilterSpec>({
  exportV4: optional(list(rule('ipv4'))),
  importV4: optional(list(rule('ipv4'))),
  exportV6: optional(list(rule('ipv6'))),
  importV6: optional(list(rule('ipv6'))),
});

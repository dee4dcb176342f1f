/** Rules of policies and profiles: types, schema and the checks that span several fields of a rule. */
import { annotations } from './metadata.ts';
import type { StringMap } from './metadata-types.ts';
import {
  checkGlobalAlone,
  checkName,
  checkNotGlobal,
  checkSelector,
  hasPorts,
  name,
  network,
  type Port,
  type Protocol,
  port,
  protocol,
  protocolNumber,
  selector,
} from './scalars.ts';
import {
  atMost,
  boolean,
  type Fields,
  integer,
  list,
  number,
  object,
  oneOf,
  optional,
  type Problems,
  required,
  text,
} from './schema.ts';

export type Action = 'Allow' | 'Deny' | 'Log' | 'Pass';

/** ICMP match: type 0..254, code 0..255 (only with a type). */
export interface IcmpFields {
  readonly type?: number;
  readonly code?: number;
}

/** Match on a Kubernetes service account. */
export interface ServiceAccountMatch {
  readonly names?: readonly string[];
  readonly selector?: string;
}

/** Match on a Kubernetes service. */
export interface ServiceMatch {
  readonly name?: string;
  readonly namespace?: string;
}

/** One side of a rule; absent fields match everything, present ones are ANDed. */
export interface EntityRule {
  readonly nets?: readonly string[];
  readonly selector?: string;
  readonly namespaceSelector?: string;
  readonly services?: ServiceMatch;
  readonly ports?: readonly Port[];
  readonly notNets?: readonly string[];
  readonly notSelector?: string;
  readonly notPorts?: readonly Port[];
  readonly serviceAccounts?: ServiceAccountMatch;
}

export interface HttpPath {
  readonly exact?: string;
  readonly prefix?: string;
}

export interface HttpMatch {
  readonly methods?: readonly string[];
  readonly paths?: readonly HttpPath[];
}

/** A rule of a policy or profile. */
export interface Rule {
  readonly action: Action;
  readonly ipVersion?: number;
  readonly protocol?: Protocol;
  readonly icmp?: IcmpFields;
  readonly notProtocol?: Protocol;
  readonly notICMP?: IcmpFields;
  readonly source?: EntityRule;
  readonly destination?: EntityRule;
  readonly http?: HttpMatch;
  readonly metadata?: { readonly annotations?: StringMap };
}

const icmp = object<IcmpFields>(
  { type: optional(integer(0, 254)), code: optional(integer(0, 255)) },
  (value, path, problems) => {
    if (value.code !== undefined && value.type === undefined) {
      problems.add(`${path}.code`, 'an ICMP code needs an ICMP type beside it');
    }
  },
);

const isEmpty = (values?: readonly unknown[]): boolean => values === undefined || values.length === 0;

const entity = object<EntityRule>(
  {
    nets: optional(list(network(), 256)),
    selector: optional(selector(checkNotGlobal)),
    namespaceSelector: optional(selector(checkGlobalAlone)),
    services: optional(
      object<ServiceMatch>({ name: optional(text(checkName)), namespace: optional(text(checkName)) }),
    ),
    ports: optional(list(port(), 50)),
    notNets: optional(list(network(), 256)),
    notSelector: optional(selector()),
    notPorts: optional(list(port(), 50)),
    serviceAccounts: optional(
      object<ServiceAccountMatch>({
        names: optional(list(text())),
        selector: optional(text(checkSelector)),
      }),
    ),
  },
  (value, path, problems) => {
    for (const [index, net] of (value.notNets ?? []).entries()) {
      if (net === '0.0.0.0/0' || /^[0:]+\/0$/.test(net)) {
        problems.add(`${path}.notNets[${index}]`, `${net} negated matches no traffic at all`);
      }
    }
    if (value.services === undefined) return;
    const conflicts: readonly (keyof EntityRule)[] = [
      'namespaceSelector',
      'serviceAccounts',
      'selector',
      'notSelector',
      'nets',
      'notNets',
    ];
    if (value.services.name === undefined) {
      problems.add(`${path}.services.name`, 'a service match needs the name of the service');
    }
    for (const field of conflicts) {
      if (value[field] !== undefined) {
        problems.add(
          `${path}.services`,
          `services cannot be combined with ${field} on the same side of a rule`,
        );
      }
    }
  },
);

const http = object<HttpMatch>(
  {
    methods: optional(list(text(atMost(1024)), 20)),
    paths: optional(
      list(
        object<HttpPath>(
          { exact: optional(text(atMost(1024))), prefix: optional(text(atMost(1024))) },
          (value, path, problems) => {
            const given = [value.exact, value.prefix].filter((each) => each !== undefined);
            if (given.length !== 1) problems.add(path, 'exactly one of exact and prefix must be set');
            else if (!given[0]?.startsWith('/') || /[? #]/.test(given[0])) {
              problems.add(path, "a path must start with '/' and hold no '?', '#' or space");
            }
          },
        ),
        20,
      ),
    ),
  },
  (value, path, problems) => {
    if (new Set(value.methods).size !== (value.methods?.length ?? 0)) {
      problems.add(`${path}.methods`, 'a method is listed twice');
    }
  },
);

/** The schema of a rule. */
export const rule = object<Rule>(
  {
    action: required(oneOf('Allow', 'Deny', 'Log', 'Pass')),
    ipVersion: optional({
      read(input, path, problems) {
        if (input === 4 || input === 6) return input;
        problems.add(path, 'expected 4 or 6');
        return undefined;
      },
    }),
    protocol: optional(protocol()),
    icmp: optional(icmp),
    notProtocol: optional(protocol()),
    notICMP: optional(icmp),
    source: optional(entity),
    destination: optional(entity),
    http: optional(http),
    metadata: optional(object<{ annotations?: StringMap }>({ annotations: optional(annotations()) })),
  },
  checkRule,
);

function checkRule(value: Rule, path: string, problems: Problems): void {
  checkPorts(value, path, problems);
  checkFamilies(value, path, problems);
  const protocolOf = value.protocol === undefined ? undefined : protocolNumber(value.protocol);
  if (value.icmp !== undefined && protocolOf !== 1 && protocolOf !== 58) {
    problems.add(`${path}.icmp`, 'an icmp match needs protocol: ICMP or ICMPv6 beside it');
  }
  for (const field of ['protocol', 'notProtocol'] as const) {
    const given = value[field];
    if (given === undefined || value.ipVersion === undefined) continue;
    const needs = { 1: 4, 58: 6 }[protocolNumber(given)];
    if (needs !== undefined && needs !== value.ipVersion) {
      problems.add(
        `${path}.ipVersion`,
        `${field}: ${given} needs ipVersion ${needs}, not ${value.ipVersion}`,
      );
    }
  }
  if (value.http !== undefined) {
    if (protocolOf !== undefined && protocolOf !== 6) {
      problems.add(`${path}.http`, 'an http match needs protocol: TCP or none');
    }
    if (value.action !== 'Allow') problems.add(`${path}.http`, 'an http match needs action: Allow');
  }
  if (
    value.destination?.services !== undefined &&
    (!isEmpty(value.destination.ports) || !isEmpty(value.destination.notPorts))
  ) {
    problems.add(`${path}.destination.services`, 'services cannot be combined with ports or notPorts');
  }
}

function checkPorts(value: Rule, path: string, problems: Problems): void {
  if (value.protocol !== undefined && hasPorts(value.protocol)) return;
  for (const side of ['source', 'destination'] as const) {
    for (const field of ['ports', 'notPorts'] as const) {
      const ports = value[side]?.[field];
      if (ports === undefined || ports.length === 0) continue;
      // A named port knows its protocol; numbers need the rule's.
      const numeric = ports.some((each) => typeof each === 'number' || each.includes(':'));
      if (value.protocol !== undefined || numeric) {
        problems.add(`${path}.${side}.${field}`, 'ports need protocol: TCP, UDP or SCTP in the same rule');
      }
    }
  }
}

/** All CIDRs of a rule are of one family, that of ipVersion if given. */
function checkFamilies(value: Rule, path: string, problems: Problems): void {
  let seen: 4 | 6 | undefined;
  for (const side of ['source', 'destination'] as const) {
    for (const field of ['nets', 'notNets'] as const) {
      for (const [index, net] of (value[side]?.[field] ?? []).entries()) {
        const version = net.includes(':') ? 6 : 4;
        const at = `${path}.${side}.${field}[${index}]`;
        if (value.ipVersion !== undefined && value.ipVersion !== version) {
          problems.add(at, `${net} is no IPv${value.ipVersion} CIDR, as the rule's ipVersion demands`);
        } else if (seen !== undefined && seen !== version) {
          problems.add(at, `${net}: a rule cannot hold both IPv4 and IPv6 CIDRs; write one rule for each`);
        }
        seen ??= version;
      }
    }
  }
}

export type PolicyType = 'Ingress' | 'Egress';

/** What NetworkPolicy and GlobalNetworkPolicy share. */
export interface CommonPolicySpec {
  readonly tier?: string;
  /** lower is evaluated first; absent is last */
  readonly order?: number;
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
  readonly selector?: string;
  readonly types?: readonly PolicyType[];
  readonly serviceAccountSelector?: string;
  readonly performanceHints?: readonly 'AssumeNeededOnEveryNode'[];
}

/** Rules a direction of a policy or profile can hold. */
export const MAX_RULES = 1024;

/** The fields that NetworkPolicy and GlobalNetworkPolicy share. */
export const commonPolicyFields: Fields<CommonPolicySpec> = {
  tier: optional(name()),
  order: optional(number()),
  ingress: optional(list(rule, MAX_RULES)),
  egress: optional(list(rule, MAX_RULES)),
  selector: optional(selector(checkNotGlobal)),
  types: optional(list(oneOf('Ingress', 'Egress'))),
  serviceAccountSelector: optional(selector(checkNotGlobal)),
  performanceHints: optional(list(oneOf('AssumeNeededOnEveryNode'), 1)),
};

/** Checks over the whole specification of either policy kind. */
export function checkCommonPolicy(value: CommonPolicySpec, path: string, problems: Problems): void {
  if (new Set(value.types).size !== (value.types?.length ?? 0)) {
    problems.add(`${path}.types`, 'a type is listed twice');
  }
  for (const [index, each] of (value.egress ?? []).entries()) {
    if (each.source?.services !== undefined) {
      problems.add(`${path}.egress[${index}].source.services`, "not allowed in an egress rule's source");
    }
    if (each.http !== undefined) problems.add(`${path}.egress[${index}].http`, 'not allowed in egress rules');
  }
  for (const [index, each] of (value.ingress ?? []).entries()) {
    if (each.destination?.services !== undefined) {
      problems.add(
        `${path}.ingress[${index}].destination.services`,
        "not allowed in an ingress rule's destination",
      );
    }
  }
}

/** A flag of a policy. */
export const flag = () => optional(boolean());

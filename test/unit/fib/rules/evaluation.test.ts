import assert from 'node:assert/strict';
import fc from 'fast-check';
import { allocateMarkBits, DEFAULT_RULES_OPTIONS } from '../../../../fib/rules/options.ts';
import { renderPolicyChain } from '../../../../fib/rules/policy.ts';
import { PolicyModel } from '../../../../fib/rules/policy-model.ts';
import { renderStaticTables } from '../../../../fib/rules/static-chains.ts';
import type { EndpointPolicy, PolicyChange, PortRange, Rule, RuleSide } from '../../../../fib/rules/types.ts';
import { type Family, parseAddress } from '../../../../src/net/address.ts';
import { parsePrefix, prefixContainsAddress } from '../../../../src/net/prefix.ts';
import { type ModelPacket, simulate } from '../../../support/iptables-simulator.ts';

/** A world small enough that random packets hit random rules. */
const ADDRESSES: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['10.0.0.1', '10.0.0.2', '10.0.1.1', '192.0.2.7'],
  ipv6: ['fd00::1', 'fd00::2', 'fd00:0:0:1::1', '2001:db8::7'],
};
const NETS = [
  '10.0.0.0/24',
  '10.0.0.1/32',
  '10.0.0.0/16',
  '192.0.2.0/24',
  '0.0.0.0/0',
  'fd00::/64',
  'fd00::1/128',
  'fd00::/16',
  '2001:db8::/32',
  '::/0',
];
const SETS: Readonly<Record<string, readonly string[]>> = {
  one: ['10.0.0.1', '192.0.2.7', 'fd00::1'],
  two: ['10.0.0.2', '10.0.0.1', '2001:db8::7', 'fd00::1'],
  none: [],
};
const PORT_SETS: Readonly<Record<string, readonly string[]>> = {
  web: ['10.0.0.1,tcp:80', 'fd00::1,tcp:80', '10.0.0.2,tcp:81', 'fd00::2,udp:81'],
  dns: ['10.0.0.2,udp:53', '192.0.2.7,tcp:53', '2001:db8::7,udp:53'],
};
const PORTS = [53, 80, 81, 5000];
const PORT_PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

// --- The oracle: the meaning of the types, read off their definitions and nothing else.

function holds(net: string, address: string): boolean {
  const prefix = parsePrefix(net);
  const parsed = parseAddress(address);
  assert.ok(prefix && parsed);
  return prefixContainsAddress(prefix, parsed);
}

function sideMatches(side: RuleSide, address: string, port: number, protocol: number): boolean {
  const inRange = (ranges: readonly PortRange[] | undefined) =>
    (ranges ?? []).some(({ first, last }) => first <= port && port <= last);
  const name = PORT_PROTOCOL_NAMES[protocol];
  const inPortSet = (ids: readonly string[] | undefined) =>
    name !== undefined && (ids ?? []).some((id) => PORT_SETS[id]?.includes(`${address},${name}:${port}`));
  if (side.nets?.length && !side.nets.some((net) => holds(net, address))) return false;
  if (side.notNets?.some((net) => holds(net, address))) return false;
  if (side.sets?.some((id) => !SETS[id]?.includes(address))) return false;
  if (side.notSets?.some((id) => SETS[id]?.includes(address))) return false;
  if ((side.ports?.length || side.portSets?.length) && !inRange(side.ports) && !inPortSet(side.portSets)) {
    return false;
  }
  return !inRange(side.notPorts) && !inPortSet(side.notPortSets);
}

function ruleMatches(rule: Rule, family: Family, packet: ModelPacket): boolean {
  const isIcmp = packet.protocol === (family === 'ipv4' ? 1 : 58);
  const icmpHolds = (icmp: NonNullable<Rule['icmp']>) =>
    packet.icmpType === icmp.type && (icmp.code === undefined || packet.icmpCode === icmp.code);
  if (rule.family !== undefined && rule.family !== family) return false;
  if (rule.protocol !== undefined && rule.protocol !== packet.protocol) return false;
  if (rule.notProtocol === packet.protocol) return false;
  if (rule.icmp && !(isIcmp && icmpHolds(rule.icmp))) return false;
  if (rule.notIcmp && !(isIcmp && !icmpHolds(rule.notIcmp))) return false;
  const { source, destination, protocol } = packet;
  return (
    sideMatches(rule.source ?? {}, source, packet.sourcePort, protocol) &&
    sideMatches(rule.destination ?? {}, destination, packet.destinationPort, protocol)
  );
}

type Policies = ReadonlyMap<string, { readonly ingress: readonly Rule[]; readonly egress: readonly Rule[] }>;

function endpointAllows(
  endpoint: EndpointPolicy,
  direction: 'ingress' | 'egress',
  policies: Policies,
  family: Family,
  packet: ModelPacket,
  log: () => void,
): boolean {
  if (!endpoint.adminUp) return false;
  if (packet.connection === 'ESTABLISHED' || packet.connection === 'RELATED') return true;
  if (packet.connection === 'INVALID') return false;
  const decide = (ids: readonly string[]): 'allow' | 'deny' | 'pass' | undefined => {
    for (const id of ids) {
      const rules = policies.get(id)?.[direction];
      if (rules === undefined) return 'deny';
      for (const rule of rules) {
        if (!ruleMatches(rule, family, packet)) continue;
        if (rule.action === 'log') log();
        else return rule.action;
      }
    }
    return undefined;
  };
  for (const tier of endpoint.tiers) {
    const ids = tier[direction];
    if (ids.length === 0) continue;
    const decision = decide(ids) ?? tier.defaultAction;
    if (decision !== 'pass') return decision === 'allow';
  }
  for (const id of endpoint.profiles) {
    const decision = decide([id]);
    if (decision === 'allow' || decision === 'deny') return decision === 'allow';
  }
  return false;
}

// --- Generators.

const portRange = fc.oneof(
  fc.constantFrom(...PORTS).map((port) => ({ first: port, last: port })),
  fc.constantFrom({ first: 0, last: 65535 }, { first: 60, last: 80 }, { first: 81, last: 6000 }),
);
const portRanges = fc.oneof(
  fc.array(portRange, { maxLength: 3 }),
  // more than one multiport match can hold
  fc
    .tuple(fc.integer({ min: 14, max: 33 }), fc.array(portRange, { maxLength: 2 }))
    .map(([count, rest]) => [
      ...Array.from({ length: count }, (_, i) => ({ first: 7000 + i, last: 7000 + i })),
      ...rest,
    ]),
);
const nets = fc.uniqueArray(fc.constantFrom(...NETS), { maxLength: 3 });
const setIds = fc.uniqueArray(fc.constantFrom(...Object.keys(SETS)), { maxLength: 2 });
const portSetIds = fc.uniqueArray(fc.constantFrom(...Object.keys(PORT_SETS)), { maxLength: 2 });

const side = (withPorts: boolean): fc.Arbitrary<RuleSide> =>
  fc.record(
    {
      nets,
      notNets: nets,
      sets: setIds,
      notSets: setIds,
      portSets: portSetIds,
      notPortSets: portSetIds,
      ...(withPorts ? { ports: portRanges, notPorts: portRanges } : {}),
    },
    { requiredKeys: [] },
  );

const action = fc.constantFrom('allow', 'deny', 'log', 'pass');
const familyValue = fc.constantFrom<Family>('ipv4', 'ipv6');
const icmp = fc.record(
  { type: fc.constantFrom(0, 8, 128), code: fc.constantFrom(0, 1) },
  { requiredKeys: ['type'] },
);

/** Several lists at once, which one rule cannot say. */
const someNets = fc.uniqueArray(fc.constantFrom(...NETS.filter((net) => !net.endsWith('/0'))), {
  minLength: 2,
  maxLength: 5,
});
const manyPorts = fc.constantFrom(
  [...Array.from({ length: 15 }, (_, i) => ({ first: 7000 + i, last: 7000 + i })), { first: 60, last: 90 }],
  [{ first: 53, last: 53 }, ...Array.from({ length: 15 }, (_, i) => ({ first: 7100 + i, last: 7100 + i }))],
);
const blockSide = fc.record({ nets: someNets, notNets: someNets, ports: manyPorts }, { requiredKeys: [] });

const rule: fc.Arbitrary<Rule> = fc.oneof(
  fc.record({
    action,
    protocol: fc.constantFrom(6, 17),
    source: blockSide,
    destination: blockSide,
  }),
  fc.record(
    {
      action,
      family: familyValue,
      protocol: fc.constantFrom(6, 17, 132),
      notProtocol: fc.constantFrom(6, 17),
      source: side(true),
      destination: side(true),
    },
    { requiredKeys: ['action', 'protocol'] },
  ),
  fc.record(
    {
      action,
      family: familyValue,
      protocol: fc.constantFrom(1, 58, 47),
      notProtocol: fc.constantFrom(6, 1),
      icmp,
      notIcmp: icmp,
      source: side(false),
      destination: side(false),
      comment: fc.constant('why "this" `rule`'),
    },
    { requiredKeys: ['action'] },
  ),
);

const POLICY_IDS = ['gnp/a', 'gnp/b', 'np/default/c', 'profile/p', 'profile/q'];
const policyIds = fc.uniqueArray(fc.constantFrom('gnp/a', 'gnp/b', 'np/default/c', 'gnp/unknown'), {
  maxLength: 3,
});
const rules = fc.array(rule, { maxLength: 4 });
const policies = fc
  .tuple(...POLICY_IDS.map(() => fc.record({ ingress: rules, egress: rules })))
  .map((values) => new Map(POLICY_IDS.map((id, i) => [id, values[i] ?? { ingress: [], egress: [] }])));

const endpoint = (interfaceName: string): fc.Arbitrary<EndpointPolicy> =>
  fc.record({
    interfaceName: fc.constant(interfaceName),
    adminUp: fc.constantFrom(true, true, true, false),
    tiers: fc.array(
      fc.record({
        name: fc.constantFrom('default', 'security'),
        defaultAction: fc.constantFrom('deny', 'pass'),
        ingress: policyIds,
        egress: policyIds,
      }),
      { maxLength: 3 },
    ),
    profiles: fc.uniqueArray(fc.constantFrom('profile/p', 'profile/q', 'profile/unknown'), { maxLength: 2 }),
    addresses: fc.constant([]),
  });

const packetOf = (family: Family): fc.Arbitrary<ModelPacket> =>
  fc.record({
    inputLink: fc.constantFrom('ocia', 'ociab', 'eth0', 'ociunknown'),
    outputLink: fc.constantFrom('ocia', 'ociab', 'eth0', 'ociunknown'),
    source: fc.constantFrom(...ADDRESSES[family]),
    destination: fc.constantFrom(...ADDRESSES[family]),
    protocol: fc.constantFrom(6, 17, 132, family === 'ipv4' ? 1 : 58, 47),
    sourcePort: fc.constantFrom(...PORTS, 7031),
    destinationPort: fc.constantFrom(...PORTS, 7000, 7016),
    icmpType: fc.constantFrom(0, 8, 128),
    icmpCode: fc.constantFrom(0, 1),
    connection: fc.constantFrom('NEW', 'NEW', 'NEW', 'NEW', 'ESTABLISHED', 'RELATED', 'INVALID'),
  });

function lookup(set: string, entry: string): boolean {
  const id = set.replace(/^oci[46]-/, '').replace(/:port$/, '');
  const members = set.endsWith(':port') ? PORT_SETS[id] : SETS[id];
  assert.ok(members, `unknown set ${set}`);
  return members.includes(entry);
}

function chainsOf(changes: readonly PolicyChange[], family: Family): Map<string, readonly string[]> {
  const model = new PolicyModel(DEFAULT_RULES_OPTIONS);
  for (const change of changes) model.change(change);
  const chains = new Map<string, readonly string[]>();
  for (const table of renderStaticTables(model.context)) {
    if (table.family !== family || table.table !== 'filter') continue;
    for (const [name, list] of table.chains)
      chains.set(
        name,
        list.map((rendered) => rendered.text),
      );
  }
  for (const [name, content] of model.drain().chains) {
    if (content)
      chains.set(
        name,
        content[family].map((rendered) => rendered.text),
      );
  }
  return chains;
}

describe('rendered rules against a direct reading of the policies', () => {
  it('agree on whether one rule matches', () => {
    const context = {
      options: DEFAULT_RULES_OPTIONS,
      marks: allocateMarkBits(DEFAULT_RULES_OPTIONS.markMask),
    };
    let matches = 0;
    fc.assert(
      fc.property(
        fc.oneof(rule, fc.record({ action, source: fc.record({ notNets: someNets }) })),
        familyValue.chain((family) =>
          fc.tuple(fc.constant(family), fc.array(packetOf(family), { minLength: 10, maxLength: 10 })),
        ),
        (anyRule, [family, packets]) => {
          const chain = 'oci-pi-x';
          const deny: Rule = { ...anyRule, action: 'deny' };
          const content = renderPolicyChain(chain, 'gnp/x', 'ingress', [deny], context);
          const chains = new Map([[chain, content[family].map((rendered) => rendered.text)]]);
          for (const packet of packets) {
            const { verdict } = simulate(chains, chain, packet, lookup, 0xffffffff);
            const expected = ruleMatches(deny, family, packet);
            if (expected) matches++;
            assert.equal(verdict, expected ? 'DROP' : 'RETURN', JSON.stringify({ packet, family, deny }));
          }
        },
      ),
      { numRuns: 2000 },
    );
    assert.ok(
      matches > 500,
      `only ${matches} packets matched: the generators are too wild to prove anything`,
    );
  });

  it('agree on every forwarded packet, verdict and logs', () => {
    fc.assert(
      fc.property(
        policies,
        endpoint('ocia'),
        endpoint('ociab'),
        familyValue.chain((family) =>
          fc.tuple(fc.constant(family), fc.array(packetOf(family), { minLength: 20, maxLength: 20 })),
        ),
        fc.constantFrom(0, 0xffffffff, 0x00010000),
        (policyMap, a, b, [family, packets], initialMark) => {
          const changes: PolicyChange[] = [
            ...Object.keys(SETS).map((id) => ({
              kind: 'set-upsert' as const,
              id,
              type: 'net' as const,
              members: new Set<string>(),
            })),
            ...Object.keys(PORT_SETS).map((id) => ({
              kind: 'set-upsert' as const,
              id,
              type: 'ip-port' as const,
              members: new Set<string>(),
            })),
            ...[...policyMap].map(([id, value]) => ({ kind: 'policy-upsert' as const, id, rules: value })),
            { kind: 'endpoint-upsert', id: 'a', endpoint: a },
            { kind: 'endpoint-upsert', id: 'b', endpoint: b },
          ];
          const chains = chainsOf(changes, family);
          for (const packet of packets) {
            const got = simulate(chains, 'oci-FORWARD', packet, lookup, initialMark);
            const byLink = (link: string) => (link === 'ocia' ? a : link === 'ociab' ? b : undefined);
            let logged = 0;
            const log = () => logged++;
            let expected: string = 'RETURN';
            const isOurs = (link: string) => link.startsWith('oci');
            const { inputLink, outputLink } = packet;
            // An established flow is accepted by the first chain that sees it.
            const isKnownFlow = packet.connection === 'ESTABLISHED' || packet.connection === 'RELATED';
            const allows = (link: string, direction: 'ingress' | 'egress') => {
              const owner = byLink(link);
              return owner !== undefined && endpointAllows(owner, direction, policyMap, family, packet, log);
            };
            if (isOurs(inputLink) || isOurs(outputLink)) {
              let passes = true;
              if (isOurs(inputLink)) passes = allows(inputLink, 'egress');
              if (passes && isOurs(outputLink) && !(isOurs(inputLink) && isKnownFlow)) {
                passes = allows(outputLink, 'ingress');
              }
              expected = passes ? 'ACCEPT' : 'DROP';
            }
            assert.deepEqual(got, { verdict: expected, logged }, JSON.stringify({ packet, family }));
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

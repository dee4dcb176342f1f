import assert from 'node:assert/strict';
import fc from 'fast-check';
import { policyProblem } from '../../../../fib/rules/validate.ts';
import { PolicyGraph } from '../../../../src/calc/policy-graph.ts';
import { parseSelector } from '../../../../src/calc/selector/parse.ts';
import type { EntityRule, Rule } from '../../../../src/model/rule.ts';
import { formatKey, keyOf, type Resource } from '../../../../src/model/types.ts';
import { DataplaneModel, type Flow } from './dataplane-model.ts';
import { NaivePolicy } from './naive-policy.ts';
import { endpoint, globalPolicy, globalSet, networkSet, policy, profile } from './resources.ts';

function graphOf(resources: Iterable<Resource>): { graph: PolicyGraph; model: DataplaneModel } {
  const graph = new PolicyGraph('host1');
  for (const resource of resources) graph.upsert(resource);
  const model = new DataplaneModel();
  model.apply(graph.flush());
  return { graph, model };
}

const tcp = (source: string, destination: string, destinationPort: number): Flow => ({
  source,
  destination,
  protocol: 6,
  sourcePort: 40000,
  destinationPort,
  icmpType: 0,
  icmpCode: 0,
});

describe('policy graph', () => {
  const web = endpoint('web', { app: 'web' }, { ipNetworks: ['10.0.0.1/32', 'fd00::1/128'] });
  const db = endpoint('db', { app: 'db' }, { ipNetworks: ['10.0.0.2'] });

  it('announces nothing for policies that select no local endpoint', () => {
    const remote = endpoint('far', { app: 'x' }, { node: 'host2', ipNetworks: ['10.9.0.1/32'] });
    const { model } = graphOf([
      remote,
      globalPolicy('p', { selector: 'app == "x"', ingress: [{ action: 'Allow' }] }),
    ]);
    assert.equal(model.policies.size, 0);
    assert.equal(model.endpoints.size, 0);
  });

  it('counts endpoints of other nodes as members of sets', () => {
    const remote = endpoint('far', { app: 'x' }, { node: 'host2', ipNetworks: ['10.9.0.1/32'] });
    const { model } = graphOf([
      web,
      remote,
      globalPolicy('p', {
        selector: 'app == "web"',
        ingress: [{ action: 'Allow', source: { selector: 'app == "x"' } }],
      }),
    ]);
    assert.equal(model.verdict('wep/default/web', 'ingress', tcp('10.9.0.1', '10.0.0.1', 80)), 'allow');
    assert.equal(model.verdict('wep/default/web', 'ingress', tcp('10.9.0.2', '10.0.0.1', 80)), 'deny');
  });

  it('tells of a label change by one set delta alone', () => {
    const { graph, model } = graphOf([
      web,
      db,
      globalPolicy('p', {
        selector: 'app == "web"',
        ingress: [{ action: 'Allow', source: { selector: 'role == "client"' } }],
      }),
    ]);
    graph.upsert(endpoint('db', { app: 'db', role: 'client' }, { ipNetworks: ['10.0.0.2'] }));
    const changes = graph.flush();
    assert.deepEqual(
      changes.map((change) => change.kind),
      ['set-delta'],
    );
    model.apply(changes);
    assert.equal(model.verdict('wep/default/web', 'ingress', tcp('10.0.0.2', '10.0.0.1', 80)), 'allow');
  });

  it('evaluates only what a change concerns (DESIGN invariant 10)', () => {
    const graph = new PolicyGraph('host1');
    for (let i = 0; i < 500; i++) {
      graph.upsert(
        endpoint(`e${i}`, { app: `a${i}`, zone: 'z' }, { ipNetworks: [`10.1.${i >> 8}.${i & 255}`] }),
      );
      graph.upsert(
        globalPolicy(`p${i}`, {
          selector: `app == "a${i}"`,
          ingress: [{ action: 'Allow', source: { selector: `app == "b${i}" && zone == "z"` } }],
        }),
      );
    }
    graph.flush();
    const before = graph.evaluations;
    graph.upsert(endpoint('e7', { app: 'b3', zone: 'z' }, { ipNetworks: ['10.1.0.7'] }));
    graph.flush();
    assert(graph.evaluations - before <= 5, `${graph.evaluations - before} evaluations`);
  });

  it('orders policies by order, unset last, then by name', () => {
    const { model } = graphOf([
      web,
      globalPolicy('z', { order: 1 }),
      globalPolicy('b', {}),
      globalPolicy('a', {}),
      globalPolicy('m', { order: -5 }),
      policy('default', 'a', { order: 1 }),
    ]);
    assert.deepEqual(model.endpoints.get('wep/default/web')?.tiers, [
      {
        name: 'default',
        defaultAction: 'deny',
        ingress: ['gnp/m', 'np/default/a', 'gnp/z', 'gnp/a', 'gnp/b'],
        egress: [],
      },
    ]);
  });

  it('drops by a missing profile and recovers when it appears', () => {
    const { graph, model } = graphOf([endpoint('web', {}, { ipNetworks: ['10.0.0.1'], profiles: ['open'] })]);
    assert.deepEqual(model.endpoints.get('wep/default/web')?.profiles, ['profile/open']);
    assert.equal(model.policies.has('profile/open'), false);
    graph.upsert(profile('open', { ingress: [{ action: 'Allow' }] }));
    model.apply(graph.flush());
    assert.equal(model.verdict('wep/default/web', 'ingress', tcp('1.1.1.1', '10.0.0.1', 80)), 'allow');
    graph.remove({ kind: 'Profile', name: 'open' });
    model.apply(graph.flush());
    assert.equal(model.verdict('wep/default/web', 'ingress', tcp('1.1.1.1', '10.0.0.1', 80)), 'deny');
  });

  it('knows the built-in profile', () => {
    const { model } = graphOf([
      endpoint('web', {}, { ipNetworks: ['10.0.0.1'], profiles: ['projectcalico-default-allow'] }),
    ]);
    assert.equal(model.verdict('wep/default/web', 'egress', tcp('10.0.0.1', '1.1.1.1', 80)), 'allow');
  });

  it('a Log-only policy still ends in the tier default', () => {
    const { model } = graphOf([
      endpoint('web', {}, { ipNetworks: ['10.0.0.1'], profiles: ['projectcalico-default-allow'] }),
      globalPolicy('log', { ingress: [{ action: 'Log' }], types: ['Ingress'] }),
    ]);
    assert.equal(model.verdict('wep/default/web', 'ingress', tcp('1.1.1.1', '10.0.0.1', 80)), 'deny');
    assert.equal(model.verdict('wep/default/web', 'egress', tcp('10.0.0.1', '1.1.1.1', 80)), 'allow');
  });

  it('a negated selector means known endpoints; notSelector means anything else', () => {
    const rules = (source: EntityRule): DataplaneModel =>
      graphOf([
        web,
        db,
        globalPolicy('p', { selector: 'app == "web"', ingress: [{ action: 'Allow', source }] }),
      ]).model;
    const stranger = tcp('198.51.100.9', '10.0.0.1', 80);
    const known = tcp('10.0.0.2', '10.0.0.1', 80);
    const negated = rules({ selector: '!has(role)' });
    assert.equal(negated.verdict('wep/default/web', 'ingress', known), 'allow');
    assert.equal(negated.verdict('wep/default/web', 'ingress', stranger), 'deny');
    const except = rules({ notSelector: 'has(role)' });
    assert.equal(except.verdict('wep/default/web', 'ingress', known), 'allow');
    assert.equal(except.verdict('wep/default/web', 'ingress', stranger), 'allow');
  });

  it("confines a NetworkPolicy's notSelector to its namespace", () => {
    const other = endpoint('other', {}, { ipNetworks: ['10.0.0.9'] }, 'elsewhere');
    const { model } = graphOf([
      web,
      db,
      other,
      policy('default', 'p', { ingress: [{ action: 'Allow', source: { notSelector: 'has(role)' } }] }),
    ]);
    const from = (source: string): string =>
      model.verdict('wep/default/web', 'ingress', tcp(source, '10.0.0.1', 80));
    assert.equal(from('10.0.0.2'), 'allow');
    assert.equal(from('10.0.0.9'), 'deny');
    assert.equal(from('198.51.100.9'), 'deny');
  });

  it('keeps a set that moves from one policy to another', () => {
    const rule: Rule = { action: 'Allow', source: { selector: 'app == "db"' } };
    const { graph } = graphOf([web, db, globalPolicy('a', { selector: 'app == "web"', ingress: [rule] })]);
    graph.remove({ kind: 'GlobalNetworkPolicy', name: 'a' });
    graph.upsert(globalPolicy('b', { selector: 'app == "web"', ingress: [rule] }));
    assert.deepEqual(
      graph.flush().map((change) => change.kind),
      ['policy-upsert', 'endpoint-upsert', 'policy-remove'],
    );
  });

  it('an identical update changes nothing', () => {
    const everything = [
      web,
      db,
      globalPolicy('p', { ingress: [{ action: 'Allow', source: { selector: 'has(app)' } }] }),
    ];
    const { graph } = graphOf(everything);
    for (const resource of everything) graph.upsert(structuredClone(resource));
    assert.deepEqual(graph.flush(), []);
  });

  it('answers what a selector matches now, labels of profiles included', () => {
    const { graph } = graphOf([
      endpoint('web', { app: 'web' }, { profiles: ['p'] }),
      db,
      globalSet('office', { app: 'web' }, ['192.0.2.0/24']),
      profile('p', { labelsToApply: { app: 'loses', zone: 'a' } }),
    ]);
    const names = (text: string): string[] => {
      const result = parseSelector(text);
      assert(result.ok);
      return graph.matching(result.selector).map(formatKey);
    };
    assert.deepEqual(names('app == "web"'), ['GlobalNetworkSet/office', 'WorkloadEndpoint/default/web']);
    assert.deepEqual(names('has(zone)'), ['WorkloadEndpoint/default/web']);
    assert.deepEqual(names('!has(projectcalico.org/namespace)'), ['GlobalNetworkSet/office']);
    assert.deepEqual(graph.policyOf('wep/default/web')?.profiles, ['profile/p']);
  });

  it('matches service accounts by name and by labels of their profile', () => {
    const client = (name: string, account: string, address: string): Resource =>
      endpoint(name, {}, { ipNetworks: [address], serviceAccountName: account });
    const { model } = graphOf([
      web,
      client('c1', 'robot', '10.0.0.5'),
      client('c2', 'human', '10.0.0.6'),
      profile('ksa.default.human', { labelsToApply: { 'pcsa.trusted': 'yes' } }),
      globalPolicy('p', {
        selector: 'app == "web"',
        ingress: [
          { action: 'Deny', source: { serviceAccounts: { names: ['robot'] } } },
          { action: 'Allow', source: { serviceAccounts: { selector: 'trusted == "yes"' } } },
        ],
      }),
    ]);
    const from = (source: string): string =>
      model.verdict('wep/default/web', 'ingress', tcp(source, '10.0.0.1', 80));
    assert.deepEqual(['10.0.0.5', '10.0.0.6', '10.0.0.7'].map(from), ['deny', 'allow', 'deny']);
  });

  it('opens nothing by a rule that it cannot carry out', () => {
    const { model } = graphOf([
      web,
      globalPolicy('p', {
        ingress: [
          { action: 'Allow', protocol: 'TCP', http: { methods: ['GET'] } },
          { action: 'Allow', source: { services: { name: 's', namespace: 'n' } } },
        ],
      }),
    ]);
    assert.deepEqual(model.policies.get('gnp/p')?.ingress, []);
  });

  it('gives ids that rules accept: 1 to 20 of [A-Za-z0-9_-]', () => {
    const { model } = graphOf([
      web,
      globalPolicy('p', {
        ingress: [
          {
            action: 'Allow',
            protocol: 'TCP',
            source: { selector: 'a == "b"' },
            destination: { ports: ['http'] },
          },
        ],
      }),
    ]);
    assert.equal(model.sets.size, 2);
    for (const id of model.sets.keys()) assert.match(id, /^[A-Za-z0-9_-]{1,20}$/);
  });
});

describe('policy graph against a naive evaluator', () => {
  const value = fc.constantFrom('x', 'y');
  const labels = fc.dictionary(fc.constantFrom('a', 'b'), value, { maxKeys: 2 });
  const atom = fc.constantFrom(
    'a == "x"',
    'a != "x"',
    'has(b)',
    '!has(a)',
    'a in {"x", "y"}',
    'b not in {"y"}',
    'b starts with "x"',
    'all()',
    'inherited == "x"',
  );
  const selector = fc.oneof(
    atom,
    fc.tuple(atom, fc.constantFrom('&&', '||'), atom).map((parts) => parts.join(' ')),
    atom.map((each) => `!(${each})`),
  );
  const namespace = fc.constantFrom('n1', 'n2');
  const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.1.1', 'fd00::1', 'fd00::2');
  const net = fc.constantFrom('10.0.0.0/24', '10.0.0.2/32', '0.0.0.0/0', 'fd00::/64', '10.0.1.1/32');
  const port = fc.constantFrom<number | string>(80, '79:81', 'http', 'dns');
  const side: fc.Arbitrary<EntityRule> = fc.record(
    {
      selector,
      notSelector: selector,
      namespaceSelector: fc.constantFrom(
        'all()',
        'global()',
        'team == "x"',
        'team != "x"',
        'projectcalico.org/name == "n1"',
      ),
      nets: fc.array(net, { minLength: 1, maxLength: 1 }),
      notNets: fc.constantFrom(['10.0.0.2/32'], ['fd00::2/128']),
    },
    { requiredKeys: [] },
  );
  const rule: fc.Arbitrary<Rule> = fc
    .record(
      {
        action: fc.constantFrom<Rule['action']>('Allow', 'Deny', 'Log', 'Pass'),
        ports: fc.array(port, { minLength: 1, maxLength: 2 }),
        notPorts: fc.array(port, { minLength: 1, maxLength: 1 }),
        source: side,
        destination: side,
        icmp: fc.constantFrom({ type: 8 }, { type: 8, code: 0 }),
        ipVersion: fc.constantFrom(4, 6),
      },
      { requiredKeys: ['action'] },
    )
    .map(({ ports, notPorts, destination, icmp, ...rest }) => {
      if (ports === undefined && notPorts === undefined) {
        return {
          ...rest,
          ...(destination === undefined ? {} : { destination }),
          ...(icmp === undefined ? {} : { protocol: 'ICMP' as const, icmp }),
        };
      }
      const withPorts = { ...destination, ...(ports && { ports }), ...(notPorts && { notPorts }) };
      return { ...rest, protocol: 'TCP' as const, destination: withPorts };
    });
  const rules = fc.array(rule, { maxLength: 3 });
  const profileRule = rule.map((each) =>
    each.action === 'Pass' ? { ...each, action: 'Deny' as const } : each,
  );
  const order = fc.option(fc.constantFrom(1, 2), { nil: undefined });
  const spec = fc
    .tuple(
      selector,
      order,
      rules,
      rules,
      fc.constantFrom<('Ingress' | 'Egress')[]>([], ['Ingress'], ['Ingress', 'Egress']),
    )
    .map(([selectorText, orderValue, ingress, egress, types]) => ({
      selector: selectorText,
      ...(orderValue === undefined ? {} : { order: orderValue }),
      ingress,
      egress,
      types,
    }));
  const resource: fc.Arbitrary<Resource> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .tuple(
          fc.constantFrom('e1', 'e2', 'e3', 'e4'),
          labels,
          namespace,
          fc.array(address, { maxLength: 2 }),
          fc.subarray(['p1', 'p2', 'projectcalico-default-allow']),
          fc.constantFrom('host1', 'host1', 'host2'),
          fc.boolean(),
        )
        .map(([name, own, ns, addresses, profiles, node, named]) =>
          endpoint(
            name,
            own,
            {
              ipNetworks: addresses,
              profiles,
              node,
              ports: named
                ? [
                    { name: 'http', protocol: 'TCP', port: 80 },
                    { name: 'dns', protocol: 'UDP', port: 53 },
                  ]
                : [],
            },
            ns,
          ),
        ),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom('s1', 's2'), labels, fc.array(net, { maxLength: 2 }))
        .map((all) => globalSet(...all)),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(namespace, fc.constantFrom('s1', 's2'), labels, fc.array(net, { maxLength: 2 }))
        .map((all) => networkSet(...all)),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          fc.constantFrom('g1', 'g2', 'g3'),
          spec,
          fc.option(fc.constantFrom('all()', 'team == "x"'), { nil: undefined }),
        )
        .map(([name, each, namespaces]) =>
          globalPolicy(name, {
            ...each,
            ...(namespaces === undefined ? {} : { namespaceSelector: namespaces }),
          }),
        ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(namespace, fc.constantFrom('g1', 'q2'), spec).map((all) => policy(...all)),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(
          fc.constantFrom('p1', 'p2'),
          fc.array(profileRule, { maxLength: 2 }),
          fc.array(profileRule, { maxLength: 2 }),
          value,
        )
        .map(([name, ingress, egress, inherited]) =>
          profile(name, { ingress, egress, labelsToApply: { inherited, b: inherited } }),
        ),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(namespace, value)
        .map(([ns, team]) => profile(`kns.${ns}`, { labelsToApply: { 'pcns.team': team } })),
    },
  );
  const step = fc.tuple(fc.constantFrom('upsert', 'upsert', 'upsert', 'remove'), resource, fc.boolean());
  const flow: fc.Arbitrary<Flow> = fc
    .tuple(
      fc.oneof(
        fc.tuple(
          fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.1.1', '192.0.2.1'),
          fc.constantFrom('10.0.0.1', '10.0.0.2', '192.0.2.1'),
        ),
        fc.tuple(fc.constantFrom('fd00::1', 'fd00::2', 'fd01::1'), fc.constantFrom('fd00::1', 'fd00::2')),
      ),
      fc.constantFrom(6, 17, 1),
      fc.constantFrom(80, 79, 53, 8080),
    )
    .map(([[source, destination], protocol, destinationPort]) => ({
      source,
      destination,
      protocol,
      sourcePort: 40000,
      destinationPort,
      icmpType: 8,
      icmpCode: 0,
    }));

  it('any history of changes ends in the same state as a fresh start, and in the naive verdicts', function () {
    this.timeout(60_000);
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 40 }),
        fc.array(flow, { minLength: 5, maxLength: 12 }),
        (steps, flows) => {
          const graph = new PolicyGraph('host1');
          const model = new DataplaneModel();
          const present = new Map<string, Resource>();
          for (const [what, each, flush] of steps) {
            if (what === 'upsert') {
              present.set(formatKey(keyOf(each)), each);
              graph.upsert(each);
            } else {
              present.delete(formatKey(keyOf(each)));
              graph.remove(keyOf(each));
            }
            if (flush) model.apply(graph.flush());
          }
          model.apply(graph.flush());
          assert.deepEqual(graph.flush(), []);
          assert.deepEqual(model.snapshot(), graphOf(present.values()).model.snapshot());
          assert.deepEqual(new Set(model.sets.keys()), model.setsInUse());
          for (const [id, each] of model.policies) assert.equal(policyProblem(each), undefined, id);
          const naive = new NaivePolicy(present.values());
          for (const wep of present.values()) {
            if (wep.kind !== 'WorkloadEndpoint' || wep.spec.node !== 'host1') continue;
            const id = `wep/${wep.metadata.namespace}/${wep.metadata.name}`;
            for (const direction of ['ingress', 'egress'] as const) {
              for (const packet of flows) {
                assert.equal(
                  model.verdict(id, direction, packet),
                  naive.verdict(wep, direction, packet),
                  `${id} ${direction} ${JSON.stringify(packet)}`,
                );
              }
            }
          }
        },
      ),
      { numRuns: Number(process.env['OCICAT_FC_RUNS'] ?? 300) },
    );
  });
});

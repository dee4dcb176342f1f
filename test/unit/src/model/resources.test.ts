import assert from 'node:assert/strict';
import fc from 'fast-check';
import { withDefaults } from '../../../../src/model/defaults.ts';
import { parseDocuments, resourcePath, serialiseResource } from '../../../../src/model/documents.ts';
import { findPoolOverlaps, type IpPool } from '../../../../src/model/ip-pool.ts';
import { KINDS, kindByName } from '../../../../src/model/kinds.ts';
import { readResource } from '../../../../src/model/registry.ts';
import { checkSupport } from '../../../../src/model/support.ts';
import { formatKey, keyOf, type Resource } from '../../../../src/model/types.ts';
import { workloadEndpointName } from '../../../../src/model/workload-endpoint.ts';

/** `Kind name: { spec as flow YAML }` -> resource data */
function errorsOf(kind: string, spec: string, metadata = '{name: x}'): string[] {
  const text = `{apiVersion: projectcalico.org/v3, kind: ${kind}, metadata: ${metadata}, spec: ${spec}}`;
  const [document] = parseDocuments(text, 'test');
  assert(document);
  return document.errors.map((error) => error.path);
}

function resource(kind: string, spec: string, metadata = '{name: x}'): Resource {
  const text = `{apiVersion: projectcalico.org/v3, kind: ${kind}, metadata: ${metadata}, spec: ${spec}}`;
  const [document] = parseDocuments(text, 'test');
  assert(document?.resource, JSON.stringify(document?.errors));
  return document.resource;
}

/** kind, spec, paths of the errors; none: valid */
const TABLE: readonly [string, string, ...string[]][] = [
  ['IPPool', '{cidr: 10.0.0.0/24}'],
  ['IPPool', '{cidr: 10.0.0.0/26}'],
  ['IPPool', '{cidr: 10.0.0.0/27}', 'spec.cidr'],
  ['IPPool', '{cidr: 10.0.0.0/27, disabled: true}'],
  ['IPPool', '{cidr: 10.0.0.0/27, blockSize: 28}'],
  ['IPPool', '{cidr: 10.0.0.0/24, blockSize: 0}'],
  ['IPPool', '{cidr: 10.0.0.0/8, blockSize: 19}', 'spec.blockSize'],
  ['IPPool', '{cidr: 10.0.0.0/8, blockSize: 33}', 'spec.blockSize'],
  ['IPPool', '{cidr: 10.0.0.0/8, blockSize: 20}'],
  ['IPPool', '{cidr: "fd00::/112"}'],
  ['IPPool', '{cidr: "fd00::/64", blockSize: 115}', 'spec.blockSize'],
  ['IPPool', '{cidr: "fd00::/64", blockSize: 128}'],
  ['IPPool', '{cidr: 10.0.0.0/24, blockSize: "26"}', 'spec.blockSize'],
  ['IPPool', '{cidr: 10.0.0.0/24, blockSize: 26.5}', 'spec.blockSize'],
  ['IPPool', '{}', 'spec.cidr'],
  ['IPPool', '{cidr: ""}', 'spec.cidr'],
  ['IPPool', '{cidr: 10.0.0.1}', 'spec.cidr'],
  ['IPPool', '{cidr: 10.0.0.1/24}', 'spec.cidr'],
  ['IPPool', '{cidr: 169.254.0.0/20}', 'spec.cidr'],
  ['IPPool', '{cidr: 169.0.0.0/8}', 'spec.cidr'],
  ['IPPool', '{cidr: 10.0.0.0/24, ipipMode: Always, vxlanMode: Always}', 'spec.ipipMode'],
  ['IPPool', '{cidr: 10.0.0.0/24, ipipMode: always}', 'spec.ipipMode'],
  ['IPPool', '{cidr: "fd00::/112", ipipMode: Always}', 'spec.ipipMode'],
  ['IPPool', '{cidr: 10.0.0.0/24, allowedUses: [Workload, Tunnel]}'],
  ['IPPool', '{cidr: 10.0.0.0/24, allowedUses: [Pods]}', 'spec.allowedUses[0]'],
  ['IPPool', '{cidr: 10.0.0.0/24, allowedUses: [LoadBalancer, Workload]}', 'spec.allowedUses'],
  ['IPPool', '{cidr: 10.0.0.0/24, nodeSelector: "rack =="}', 'spec.nodeSelector'],
  ['IPPool', '{cidr: 10.0.0.0/24, nodeSelector: "global()"}', 'spec.nodeSelector'],
  ['IPPool', '{cidr: 10.0.0.0/24, disabled: yes}'],
  ['IPPool', '{cidr: 10.0.0.0/24, disabled: "true"}', 'spec.disabled'],
  ['IPPool', '{cidr: 10.0.0.0/24, bogus: 1}', 'spec.bogus'],
  ['Node', '{bgp: {asNumber: 64513, ipv4Address: 192.0.2.1/24, ipv6Address: "2001:db8::1/64"}}'],
  ['Node', '{bgp: {asNumber: "65000.1"}}'],
  ['Node', '{bgp: {asNumber: "65536.1"}}', 'spec.bgp.asNumber'],
  ['Node', '{bgp: {asNumber: 4294967296}}', 'spec.bgp.asNumber'],
  ['Node', '{bgp: {ipv4Address: 192.0.2.1}}'],
  ['Node', '{bgp: {ipv4Address: "2001:db8::1/64"}}', 'spec.bgp.ipv4Address'],
  ['Node', '{bgp: {}}', 'spec.bgp'],
  ['Node', '{}'],
  ['BGPConfiguration', '{asNumber: 64512, listenPort: 1179, nodeToNodeMeshEnabled: false}'],
  ['BGPConfiguration', '{listenPort: 65536}', 'spec.listenPort'],
  ['BGPConfiguration', '{logSeverityScreen: debug}'],
  ['BGPConfiguration', '{logSeverityScreen: loud}', 'spec.logSeverityScreen'],
  [
    'BGPConfiguration',
    '{nodeToNodeMeshEnabled: false, nodeMeshMaxRestartTime: 10s}',
    'spec.nodeMeshMaxRestartTime',
  ],
  ['BGPConfiguration', '{communities: [{name: c, value: "1:2"}]}', 'spec.communities'],
  [
    'BGPConfiguration',
    '{communities: [{name: c, value: "1:2"}], prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: [c, "1:2:3"]}]}',
  ],
  [
    'BGPConfiguration',
    '{prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: [d, "65536:1"]}]}',
    'spec.prefixAdvertisements[0].communities[0]',
    'spec.prefixAdvertisements[0].communities[1]',
  ],
  ['BGPPeer', '{peerIP: 192.0.2.1, asNumber: 64512}'],
  ['BGPPeer', '{peerIP: "192.0.2.1:1179", asNumber: 1}'],
  ['BGPPeer', '{peerIP: "[2001:db8::1]:179", asNumber: 1}'],
  ['BGPPeer', '{peerIP: "192.0.2.1:0", asNumber: 1}', 'spec.peerIP'],
  ['BGPPeer', '{peerIP: "fe80::1%eth0", asNumber: 1}', 'spec.peerIP'],
  ['BGPPeer', '{node: a, nodeSelector: all()}', 'spec.nodeSelector'],
  ['BGPPeer', '{peerIP: 192.0.2.1, peerSelector: all()}', 'spec.peerSelector'],
  ['BGPPeer', '{peerSelector: all(), asNumber: 1}', 'spec.asNumber'],
  ['BGPPeer', '{reachableBy: 192.0.2.9}', 'spec.reachableBy'],
  ['BGPPeer', '{peerIP: "2001:db8::1", reachableBy: 192.0.2.9}', 'spec.reachableBy'],
  ['BGPPeer', '{ttlSecurity: 256}', 'spec.ttlSecurity'],
  ['BGPPeer', '{keepaliveTime: 20}', 'spec.keepaliveTime'],
  ['BGPFilter', '{importV4: [{cidr: 10.0.0.0/8, matchOperator: In, action: Accept}]}'],
  ['BGPFilter', '{importV4: [{cidr: 10.0.0.0/8, action: Accept}]}', 'spec.importV4[0].matchOperator'],
  [
    'BGPFilter',
    '{exportV6: [{cidr: 10.0.0.0/8, matchOperator: In, action: Accept}]}',
    'spec.exportV6[0].cidr',
  ],
  ['BGPFilter', '{exportV4: [{prefixLength: {min: 8}, action: Reject}]}', 'spec.exportV4[0].cidr'],
  [
    'BGPFilter',
    '{exportV4: [{action: Reject, operations: [{setPriority: {value: 5}}]}]}',
    'spec.exportV4[0].operations',
  ],
  ['GlobalNetworkSet', '{nets: [10.0.0.1/8, 192.0.2.1, "fd00::/8"]}'],
  ['GlobalNetworkSet', '{nets: [10.0.0.256]}', 'spec.nets[0]'],
  ['Profile', '{labelsToApply: {a: b}, ingress: [{action: Allow}]}'],
  ['Profile', '{labelsToApply: {"a/b/c": d}}', 'spec.labelsToApply["a/b/c"]'],
  ['GlobalNetworkPolicy', '{}'],
  ['GlobalNetworkPolicy', '{types: [Ingress, Egress]}'],
  ['GlobalNetworkPolicy', '{types: [Ingress, Ingress]}', 'spec.types'],
  ['GlobalNetworkPolicy', '{types: [ingress]}', 'spec.types[0]'],
  ['GlobalNetworkPolicy', '{order: 10.5}'],
  ['GlobalNetworkPolicy', '{order: "10"}', 'spec.order'],
  ['GlobalNetworkPolicy', '{selector: "global()"}', 'spec.selector'],
  ['GlobalNetworkPolicy', '{doNotTrack: true}', 'spec.applyOnForward'],
  ['GlobalNetworkPolicy', '{doNotTrack: true, preDNAT: true, applyOnForward: true}', 'spec.preDNAT'],
  ['GlobalNetworkPolicy', '{preDNAT: true, applyOnForward: true, egress: [{action: Allow}]}', 'spec.egress'],
  ['NetworkPolicy', '{doNotTrack: true}', 'spec.doNotTrack'],
];

const RULES: readonly [string, ...string[]][] = [
  ['{action: Allow}'],
  ['{}', 'action'],
  ['{action: allow}', 'action'],
  ['{action: Allow, protocol: TCP, destination: {ports: [80, "1:65535", http]}}'],
  ['{action: Allow, protocol: 6, destination: {ports: [80]}}'],
  ['{action: Allow, protocol: "17", destination: {ports: ["53"]}}'],
  ['{action: Allow, protocol: tcp}', 'protocol'],
  ['{action: Allow, protocol: 0}', 'protocol'],
  ['{action: Allow, protocol: 256}', 'protocol'],
  ['{action: Allow, destination: {ports: [80]}}', 'destination.ports'],
  ['{action: Allow, destination: {ports: [http]}}'],
  ['{action: Allow, protocol: ICMP, destination: {ports: [http]}}', 'destination.ports'],
  ['{action: Allow, protocol: UDPLite, source: {notPorts: [1]}}', 'source.notPorts'],
  ['{action: Allow, protocol: TCP, source: {ports: [0]}}', 'source.ports[0]'],
  ['{action: Allow, protocol: TCP, source: {ports: ["2:1"]}}', 'source.ports[0]'],
  ['{action: Allow, protocol: TCP, source: {ports: [HTTP]}}', 'source.ports[0]'],
  ['{action: Allow, protocol: TCP, source: {ports: [65536]}}', 'source.ports[0]'],
  ['{action: Allow, protocol: ICMP, icmp: {type: 8, code: 0}}'],
  ['{action: Allow, protocol: ICMP, icmp: {code: 0}}', 'icmp.code'],
  ['{action: Allow, protocol: ICMP, icmp: {type: 255}}', 'icmp.type'],
  ['{action: Allow, icmp: {type: 8}}', 'icmp'],
  ['{action: Allow, notICMP: {type: 8}}'],
  ['{action: Allow, protocol: ICMP, ipVersion: 6}', 'ipVersion'],
  ['{action: Allow, notProtocol: ICMPv6, ipVersion: 4}', 'ipVersion'],
  ['{action: Allow, ipVersion: 5}', 'ipVersion'],
  ['{action: Allow, source: {nets: [10.0.0.0/8], notNets: [10.1.0.0/16]}}'],
  ['{action: Allow, source: {nets: [10.0.0.1]}}', 'source.nets[0]'],
  ['{action: Allow, source: {nets: [10.0.0.1/8]}}', 'source.nets[0]'],
  ['{action: Allow, source: {notNets: [0.0.0.0/0]}}', 'source.notNets[0]'],
  ['{action: Allow, source: {notNets: ["::/0"]}}', 'source.notNets[0]'],
  ['{action: Allow, ipVersion: 6, source: {nets: [10.0.0.0/8]}}', 'source.nets[0]'],
  ['{action: Allow, source: {nets: [10.0.0.0/8]}, destination: {nets: ["fd00::/8"]}}', 'destination.nets[0]'],
  ['{action: Allow, source: {selector: "a == b"}}', 'source.selector'],
  ['{action: Allow, source: {selector: global()}}', 'source.selector'],
  ['{action: Allow, source: {namespaceSelector: global()}}'],
  ['{action: Allow, source: {namespaceSelector: "global() || has(a)"}}', 'source.namespaceSelector'],
  ['{action: Allow, source: {services: {name: s, namespace: n}, nets: [10.0.0.0/8]}}', 'source.services'],
  ['{action: Deny, http: {methods: [GET]}}', 'http'],
  ['{action: Allow, metadata: {annotations: {a: b}}}'],
];

describe('resource schemas', () => {
  for (const [kind, spec, ...paths] of TABLE) {
    const metadata = kind === 'NetworkPolicy' ? '{name: x, namespace: n}' : '{name: x}';
    it(`${kind} ${spec}`, () => assert.deepEqual(errorsOf(kind, spec, metadata), paths));
  }
  for (const [rule, ...paths] of RULES) {
    it(`rule ${rule}`, () =>
      assert.deepEqual(
        errorsOf('GlobalNetworkPolicy', `{ingress: [${rule}]}`),
        paths.map((path) => `spec.ingress[0].${path}`),
      ));
  }

  const LATER: readonly [string, string, string, ...string[]][] = [
    ['HostEndpoint', 'x', '{node: n, interfaceName: eth0, expectedIPs: [192.0.2.1]}'],
    ['HostEndpoint', 'x', '{node: n, interfaceName: "*"}'],
    ['HostEndpoint', 'x', '{node: n}', 'spec'],
    ['HostEndpoint', 'x', '{interfaceName: eth0}', 'spec.node'],
    ['HostEndpoint', 'x', '{node: n, expectedIPs: [192.0.2.0/24]}', 'spec.expectedIPs[0]'],
    ['Tier', 'x', '{order: 5, defaultAction: Pass}'],
    ['Tier', 'a.b', '{}', 'metadata.name'],
    ['Tier', 'default', '{order: 5}', 'spec.order'],
    ['Tier', 'x', '{defaultAction: Allow}', 'spec.defaultAction'],
    ['StagedGlobalNetworkPolicy', 'x', '{stagedAction: Set, ingress: [{action: Allow}]}'],
    ['StagedGlobalNetworkPolicy', 'x', '{stagedAction: Delete, selector: all()}', 'spec.selector'],
    ['StagedNetworkPolicy', 'x', '{stagedAction: Unset}', 'spec.stagedAction'],
    ['CalicoNodeStatus', 'x', '{node: n, classes: [BGP], updatePeriodSeconds: 10}'],
    ['CalicoNodeStatus', 'x', '{node: n, classes: [BGP, BGP], updatePeriodSeconds: 10}', 'spec.classes'],
    ['ClusterInformation', 'default', '{datastoreReady: true}'],
  ];
  for (const [kind, name, spec, ...paths] of LATER) {
    it(`checks but does not take ${kind} ${name} ${spec}`, () => {
      const text = `{apiVersion: projectcalico.org/v3, kind: ${kind}, metadata: {name: ${name}}, spec: ${spec}}`;
      const [document] = parseDocuments(text, 'test');
      assert.equal(document?.resource, undefined);
      assert.deepEqual(
        document?.errors.map((error) => error.path),
        ['kind'],
      );
      assert.deepEqual(
        document?.laterErrors?.map((error) => error.path),
        paths,
      );
    });
  }

  it('limits a policy to 1024 rules', () => {
    const rules = (count: number): string => `{ingress: [${Array(count).fill('{action: Allow}').join(',')}]}`;
    assert.deepEqual(errorsOf('GlobalNetworkPolicy', rules(1024)), []);
    assert.deepEqual(errorsOf('GlobalNetworkPolicy', rules(1025)), ['spec.ingress']);
  });

  const NAMES: readonly [string, string, boolean][] = [
    ['IPPool', 'a.b-c.d', true],
    ['IPPool', 'A', false],
    ['IPPool', '""', false],
    ['IPPool', '-a', false],
    ['IPPool', 'a_b', false],
    ['IPPool', 'a'.repeat(254), false],
    ['GlobalNetworkPolicy', 'tier.name', true],
    ['GlobalNetworkPolicy', 'a.b.c', false],
    ['NetworkPolicy', 'a.b.c', false],
    ['NetworkPolicy', 'knp.default.a.b.c', true],
  ];
  for (const [kind, name, valid] of NAMES) {
    it(`${kind} named ${name.slice(0, 20)}`, () => {
      const spec = kind === 'IPPool' ? '{cidr: 10.0.0.0/8}' : '{}';
      assert.equal(errorsOf(kind, spec, `{name: ${name}}`).length === 0, valid);
    });
  }

  it('checks labels and annotations as Kubernetes does', () => {
    const paths = errorsOf(
      'GlobalNetworkSet',
      '{}',
      '{name: x, labels: {"a b": c, ok: "bad value", "x.io/y": 1}, annotations: {"UPPER.io/k": "any text", "/x": y}}',
    );
    assert.deepEqual(paths, ['metadata.labels["a b"]', 'metadata.labels.ok', 'metadata.annotations["/x"]']);
    assert.deepEqual(errorsOf('NetworkSet', '{}', '{name: x, labels: {projectcalico.org/namespace: a}}'), [
      'metadata.labels["projectcalico.org/namespace"]',
    ]);
  });

  it('refuses a namespace where there is none, and accepts server-set metadata', () => {
    assert.deepEqual(errorsOf('IPPool', '{cidr: 10.0.0.0/8}', '{name: x, namespace: n}'), [
      'metadata.namespace',
    ]);
    assert.deepEqual(
      errorsOf(
        'NetworkPolicy',
        '{}',
        '{name: x, namespace: n, uid: u, resourceVersion: "12", generation: 3, creationTimestamp: 2024-01-01T00:00:00Z, managedFields: [{}]}',
      ),
      [],
    );
  });

  it('tells a later kind from an unknown one and an internal API version from a wrong one', () => {
    const reason = (input: unknown): string => {
      const result = readResource(input);
      return result.ok ? '' : result.errors.map((error) => error.reason).join('; ');
    };
    const apiVersion = 'projectcalico.org/v3';
    assert.match(reason({ apiVersion, kind: 'HostEndpoint' }), /does not support yet/);
    assert.match(reason({ apiVersion, kind: 'Nonsense' }), /not a known kind/);
    assert.equal(
      reason({ apiVersion: 'ocicat.dev/v1', kind: 'StaticRoutes' }),
      'StaticRoutes stands in the file of a speaker alone, not among the agent\'s resources: see "ocicat bgp speak --config FILE --check"',
    );
    assert.match(reason({ apiVersion, kind: 'ippool' }), /did you mean IPPool/);
    assert.match(reason({ apiVersion: 'crd.projectcalico.org/v1', kind: 'IPPool' }), /storage form/);
    assert.match(reason({ kind: 'IPPool' }), /missing/);
    assert.match(reason('text'), /expected a resource/);
  });
});

describe('documents', () => {
  it('reads several documents, JSON and lists, and names the place of each error', () => {
    const text = [
      '{"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "a"}, "spec": {"cidr": "10.0.0.0/8"}}',
      '# only a comment',
      'kind: List\napiVersion: v1\nitems:\n- {apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: b}, spec: {cidr: x}}',
      'kind: IPPoolList\napiVersion: projectcalico.org/v3\nitems:\n- {metadata: {name: c}, spec: {cidr: 10.0.0.0/8}}',
      'a: 1\na: 2',
      'a: [1',
    ].join('\n---\n');
    assert.deepEqual(
      parseDocuments(text, 'f').map((each) => [
        each.document,
        each.name,
        each.errors.map((error) => error.path),
      ]),
      [
        [1, 'a', []],
        [2, 'b', ['items[0].spec.cidr']],
        [3, 'c', []],
        [4, undefined, ['']],
        [5, undefined, ['']],
      ],
    );
    assert.match(parseDocuments(text, 'f')[3]?.errors[0]?.reason ?? '', /YAML, line 1\d, column 1: .*unique/);
  });

  it('never throws', () => {
    const bad = [
      '*a',
      '&a [*a]',
      '\0',
      '%YAML 9.9\n---\na',
      '? {a: b}\n: c',
      '!!binary x',
      '--- |',
      '{',
      '[]',
      '5',
      'a: &x [*x, *x]',
      '<<: 5',
    ];
    for (const text of bad)
      for (const each of parseDocuments(text, 'f')) assert(each.errors.length > 0, text);
  });

  it('reads scalars as Calico does: YAML 1.1 booleans, numbers as texts where a text is due', () => {
    const text = (metadata: string): unknown => {
      const [document] = parseDocuments(
        `{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: ${metadata}}`,
        'f',
      );
      return document?.resource?.metadata.labels ?? document?.errors;
    };
    assert.deepEqual(
      text(
        '{name: x, labels: {a: 1, b: 1.0, c: yes, d: y, e: off, f: null, g: 0x10, h: 12345678901234567890}}',
      ),
      {
        a: '1',
        b: '1',
        c: 'true',
        d: 'true',
        e: 'false',
        f: '',
        g: '16',
        h: '12345678901234567890',
      },
    );
    assert.deepEqual(errorsOf('IPPool', '{cidr: 10.0.0.0/8, disabled: ""}'), ['spec.disabled']);
    assert.deepEqual(errorsOf('IPPool', '{cidr: 10.0.0.0/8, ipipMode: "", nodeSelector: null}'), []);
    assert.deepEqual(errorsOf('IPPool', '{cidr: 10.0.0.0/8, ipipMode: []}'), ['spec.ipipMode']);
  });

  it('no text throws or prints a warning', async () => {
    const piece = fc.constantFrom(
      ...[
        'apiVersion: projectcalico.org/v3\n',
        'kind: IPPool\n',
        'kind: List\n',
        'items:\n',
        '- ',
        '  ',
        'spec: ',
      ],
      ...[
        '{',
        '}',
        '[',
        ']',
        '\n',
        '---\n',
        '...\n',
        '&a ',
        '*a ',
        '!!int ',
        '!!binary ',
        '"',
        "'",
        '|\n',
        '>\n',
      ],
      ...[
        '? ',
        ': ',
        '<<: *a\n',
        '%TAG ! x\n',
        '\t',
        '#',
        'null',
        '1',
        '0x',
        '.inf',
        '__proto__: {a: b}\n',
        '\0',
        '\ufeff',
      ],
    );
    const warnings: unknown[] = [];
    const listener = (warning: unknown): void => void warnings.push(warning);
    process.on('warning', listener);
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        parseDocuments(pieces.join(''), 'f');
      }),
      { numRuns: 3000 },
    );
    // Warnings are told on the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listener);
    assert.deepEqual(warnings, []);
  });

  it('expands no alias bomb', () => {
    let text = 'a0: &a0 [x, x]\n';
    for (let i = 1; i < 30; i++) text += `a${i}: &a${i} [*a${i - 1}, *a${i - 1}]\n`;
    assert.match(parseDocuments(text, 'f')[0]?.errors[0]?.reason ?? '', /cannot be read/);
  });

  it('writes what it reads back, in a fixed order', () => {
    const given = resource(
      'NetworkPolicy',
      '{ingress: [{protocol: TCP, action: Allow, destination: {ports: ["1:59", 80, http]}}], selector: "a == \'b\'"}',
      '{namespace: ns1, labels: {"on": "yes", "n": "1"}, name: x}',
    );
    const text = serialiseResource(given);
    const [again] = parseDocuments(text, 'f');
    assert.deepEqual(again?.resource, given);
    assert.match(text, /^apiVersion: projectcalico.org\/v3\nkind: NetworkPolicy\nmetadata:\n {2}name: x\n/);
    assert.match(text, /- "1:59"/);
    assert.match(text, /"on": "yes"/);
    assert.equal(resourcePath(given), 'NetworkPolicy/ns1.x.yaml');
  });
});

describe('kinds, keys, defaults', () => {
  it('finds kinds by singular, plural and alias', () => {
    for (const kind of KINDS) assert.equal(kindByName(kind), kind);
    assert.equal(kindByName('gnp'), 'GlobalNetworkPolicy');
    assert.equal(kindByName('IPPools'), 'IPPool');
    assert.equal(kindByName('nothing'), undefined);
  });

  it('puts namespaced resources into default', () => {
    assert.equal(formatKey(keyOf(resource('NetworkPolicy', '{}'))), 'NetworkPolicy/default/x');
    assert.equal(formatKey(keyOf(resource('IPPool', '{cidr: 10.0.0.0/8}'))), 'IPPool/x');
  });

  it('fills in the defaults of each kind once', () => {
    const pool = withDefaults(resource('IPPool', '{cidr: "fd00::/64"}'));
    assert(pool.kind === 'IPPool');
    assert.equal(pool.spec.blockSize, 122);
    assert.equal(pool.spec.nodeSelector, 'all()');
    assert.deepEqual(withDefaults(pool), pool);
    const types = (spec: string): unknown => {
      const policy = withDefaults(resource('GlobalNetworkPolicy', spec));
      return policy.kind === 'GlobalNetworkPolicy' && policy.spec.types;
    };
    assert.deepEqual(types('{}'), ['Ingress']);
    assert.deepEqual(types('{ingress: [{action: Allow}]}'), ['Ingress']);
    assert.deepEqual(types('{egress: [{action: Allow}]}'), ['Egress']);
    assert.deepEqual(types('{ingress: [{action: Allow}], egress: [{action: Allow}]}'), ['Ingress', 'Egress']);
  });

  it('finds overlapping pools', () => {
    const pool = (name: string, cidr: string): IpPool => {
      const each = resource('IPPool', `{cidr: "${cidr}"}`, `{name: ${name}}`);
      assert(each.kind === 'IPPool');
      return each;
    };
    const overlaps = findPoolOverlaps([
      pool('a', '10.0.0.0/16'),
      pool('b', '10.1.0.0/16'),
      pool('c', '10.0.4.0/24'),
      pool('a', '10.0.0.0/16'),
      pool('d', 'fd00::/64'),
    ]);
    assert.deepEqual(
      overlaps.map((each) => `${each.first.metadata.name}-${each.second.metadata.name}`),
      ['a-c', 'c-a'],
    );
  });

  it('names a workload endpoint as Calico does', () => {
    const base = { node: 'host-1', endpoint: 'eth0' };
    assert.equal(
      workloadEndpointName({ ...base, orchestrator: 'ocicat', workload: 'c1' }),
      'host--1-ocicat-c1-eth0',
    );
    assert.equal(workloadEndpointName({ ...base, orchestrator: 'k8s', pod: 'a-b' }), 'host--1-k8s-a--b-eth0');
    assert.equal(workloadEndpointName({ ...base, orchestrator: 'cni' }), undefined);
  });
});

describe('support', () => {
  const refused = (each: Resource): string[] => checkSupport(each).refused.map((problem) => problem.path);

  it('refuses by name what a later version brings', () => {
    assert.deepEqual(
      refused(
        resource(
          'GlobalNetworkPolicy',
          '{tier: other, ingress: [{action: Allow}, {action: Allow, protocol: TCP, http: {methods: [GET]}}]}',
        ),
      ),
      ['spec.tier', 'spec.ingress[1].http'],
    );
    assert.deepEqual(refused(resource('BGPPeer', '{peerIP: 192.0.2.1}')), ['spec.asNumber']);
    assert.deepEqual(refused(resource('Profile', '{}', '{name: projectcalico-default-allow}')), [
      'metadata.name',
    ]);
  });

  it('accepts what asks for nothing more than is done', () => {
    const fine: readonly [string, string][] = [
      ['IPPool', '{cidr: 10.0.0.0/8, ipipMode: Never, natOutgoing: false}'],
      ['BGPPeer', '{peerIP: 192.0.2.1, asNumber: 1, sourceAddress: UseNodeIP, node: a}'],
      ['GlobalNetworkPolicy', '{tier: default, doNotTrack: false}'],
      ['Node', '{bgp: {asNumber: 1, ipv4Address: 192.0.2.1/24}}'],
    ];
    for (const [kind, spec] of fine) assert.deepEqual(refused(resource(kind, spec)), [], spec);
  });
});

import assert from 'node:assert/strict';
import { formatPrefix, parsePrefix } from '../../../../src/net/prefix.ts';
import { readSpeakConfig, type SpeakConfig } from '../../../../src/speak/config.ts';
import type { HostView } from '../../../../src/speak/host.ts';
import { makePlan, type SpeakPlan } from '../../../../src/speak/plan.ts';

const CALICO = 'apiVersion: projectcalico.org/v3';
const NODE = `{${CALICO}, kind: Node, metadata: {name: r1}, spec: {bgp: {asNumber: 65001, ipv4Address: 192.0.2.1/24}}}`;
const ALL = `{${CALICO}, kind: BGPFilter, metadata: {name: all}, spec: {}}`;

const peer = (name: string, spec: string): string =>
  `{${CALICO}, kind: BGPPeer, metadata: {name: ${name}}, spec: {${spec}}}`;
const statics = (spec: string, name = 'here'): string =>
  `{apiVersion: ocicat.dev/v1, kind: StaticRoutes, metadata: {name: ${name}}, spec: {${spec}}}`;

function read(...documents: string[]): SpeakConfig {
  const result = readSpeakConfig(documents.join('\n---\n'), 'f.yaml', { host: 'h' });
  assert.ok(result.ok, result.ok ? '' : result.faults.join('\n'));
  return result.config;
}

function faults(...documents: string[]): readonly string[] {
  const result = readSpeakConfig(documents.join('\n---\n'), 'f.yaml', { host: 'h' });
  return result.ok ? [] : result.faults;
}

const HOST: HostView = {
  connected: [parsePrefix('192.0.2.0/24') ?? assert.fail()],
  interfaceTo: () => 'eth0',
  password: (file) => ({ problem: `${file} is not there` }),
};

function plan(...documents: string[]): SpeakPlan {
  const made = makePlan(read(...documents), HOST, 'f.yaml');
  assert.ok(made.ok, made.ok ? '' : made.faults.join('\n'));
  return made.plan;
}

describe('src/speak/config', () => {
  it('reads a whole file', () => {
    const config = read(
      NODE,
      ALL,
      peer('p', 'peerIP: 192.0.2.2, asNumber: 65002, filters: [all]'),
      statics(
        'transit: false, routes: [{prefix: 10.1.0.0/16, nextHop: 192.0.2.9, communities: ["65001:7", "1:2:3"], med: 5}, {prefix: "2001:db8::/32", blackhole: true}, ' +
          '{prefix: 10.4.0.0/16, unreachable: true, prohibit: false}, {prefix: 10.5.0.0/16, prohibit: true}, {prefix: 10.6.0.0/16}]',
      ),
    );
    assert.equal(config.node.metadata.name, 'r1');
    assert.equal(config.transit, false);
    assert.deepEqual(
      config.statics.map(({ prefix, forwarding }) => `${formatPrefix(prefix)} ${forwarding.kind}`),
      [
        '10.1.0.0/16 via',
        '2001:db8::/32 blackhole',
        '10.4.0.0/16 unreachable',
        '10.5.0.0/16 prohibit',
        '10.6.0.0/16 none',
      ],
    );
    assert.deepEqual(config.statics[0]?.attributes.communities, [65001 * 65536 + 7]);
    assert.deepEqual(config.statics[0]?.attributes.largeCommunities, [{ global: 1, local1: 2, local2: 3 }]);
    assert.equal(config.statics[0]?.attributes.med, 5);
  });

  const FAULTY: readonly (readonly [string, readonly string[], readonly RegExp[]])[] = [
    ['no Node', [ALL], [/^f\.yaml: no Node: add one .*asNumber/]],
    [
      'several Nodes and none of this host',
      [NODE, NODE.replace('name: r1', 'name: r2')],
      [/several Nodes \(r1, r2\), none named h as this host: say which is ours with --node$/],
    ],
    [
      'a kind that a speaker alone has no use for',
      [NODE, `{${CALICO}, kind: IPPool, metadata: {name: a}, spec: {cidr: 10.0.0.0/16}}`],
      [/document 2 \(IPPool a\): kind: a speaker alone has no use for it: expected one of Node, /],
    ],
    [
      'an unknown kind',
      [NODE, `{${CALICO}, kind: Nod, metadata: {name: a}}`],
      [/document 2 \(Nod a\): kind: "Nod" is not a known kind: expected one of Node, .*StaticRoutes$/],
    ],
    ['broken YAML', [NODE, '{a: '], [/^f\.yaml: document 2: YAML, line 3/]],
    [
      'a filter that is not there',
      [NODE, peer('p', 'peerIP: 192.0.2.2, asNumber: 65002, filters: [all]')],
      [/BGPPeer p: spec\.filters\[0\]: there is no BGPFilter all: add it to the file/],
    ],
    [
      'every fault of several routes',
      [
        NODE,
        statics(
          'routes: [{prefix: 10.0.0.1/8}, {prefix: 10.0.0.0/8, nextHop: "::1"}, {prefix: 10.1.0.0/16, nexthop: 1.1.1.1}, {prefix: 10.2.0.0/16, nextHop: 1.1.1.1, blackhole: true}, {prefix: 10.3.0.0/16, communities: [x]}, {prefix: 10.4.0.0/16, prohibit: true, unreachable: true}]',
        ),
      ],
      [
        /routes\[0\]\.prefix: .*host bits set; did you mean 10\.0\.0\.0\/8/,
        /routes\[1\]\.nextHop: "::1" is not of the family of 10\.0\.0\.0\/8/,
        /routes\[2\]\.nexthop: unknown field; did you mean "nextHop"/,
        /routes\[3\]\.blackhole: nextHop and blackhole cannot both be set: remove one/,
        /routes\[4\]\.communities\[0\]: "x" is not a community/,
        /routes\[5\]\.prohibit: unreachable and prohibit cannot both be set: remove one/,
      ],
    ],
    [
      'a prefix twice',
      [NODE, statics('routes: [{prefix: 10.0.0.0/8}]', 'a'), statics('routes: [{prefix: 10.0.0.0/8}]', 'b')],
      [
        /document 3 \(StaticRoutes b\): spec\.routes\[0\]\.prefix: 10\.0\.0\.0\/8 stands already at StaticRoutes a, spec\.routes\[0\]/,
      ],
    ],
    [
      'transit both ways',
      [NODE, statics('transit: true', 'a'), statics('transit: false', 'b')],
      [/StaticRoutes b\): spec\.transit: StaticRoutes a says true: set it in one place/],
    ],
    [
      'another API version',
      [NODE, statics('transit: true').replace('ocicat.dev/v1', 'projectcalico.org/v3')],
      [/apiVersion: "projectcalico\.org\/v3": StaticRoutes is of ocicat\.dev\/v1/],
    ],
    [
      'a name twice',
      [NODE, ALL, ALL],
      [/document 3 \(BGPFilter all\): metadata\.name: document 2 is BGPFilter all/],
    ],
  ];
  for (const [name, documents, expected] of FAULTY) {
    it(`says what is wrong: ${name}`, () => {
      const found = faults(...documents);
      assert.equal(found.length, expected.length, found.join('\n'));
      for (const [index, pattern] of expected.entries()) assert.match(found[index] ?? '', pattern);
    });
  }
});

describe('src/speak/plan', () => {
  it('identity, port and peers', () => {
    const made = plan(
      NODE,
      `{${CALICO}, kind: BGPConfiguration, metadata: {name: default}, spec: {listenPort: 1179}}`,
      peer('p', 'peerIP: 192.0.2.2, asNumber: 65002'),
    );
    assert.equal(made.routerId, 0xc0000201);
    assert.equal(made.localAs, 65001);
    assert.equal(made.port, 1179);
    assert.deepEqual(
      made.peers.map(({ config, resource }) => [config.name, config.peerAs, config.ttl, resource]),
      [['192.0.2.2', 65002, 1, 'BGPPeer p']],
    );
  });

  it('an eBGP peer without filters has no policies, one with an empty filter accepts everything', () => {
    const { peers } = plan(
      NODE,
      ALL,
      peer('a', 'peerIP: 192.0.2.2, asNumber: 65002'),
      peer('b', 'peerIP: 192.0.2.3, asNumber: 65003, filters: [all]'),
      peer('c', 'peerIP: 192.0.2.4, asNumber: 65001'),
    );
    const chains = peers.map(({ config }) => [config.importPolicy, config.exportPolicy]);
    const all = { name: 'all', rules: [], fallThrough: 'accept' };
    assert.deepEqual(chains, [
      [undefined, undefined],
      [all, all],
      [undefined, undefined],
    ]);
  });

  it('without transit what was learned goes to nobody, whatever the filters say', () => {
    const { peers } = plan(
      NODE,
      ALL,
      peer('a', 'peerIP: 192.0.2.2, asNumber: 65002'),
      peer('b', 'peerIP: 192.0.2.3, asNumber: 65003, filters: [all]'),
      peer('c', 'peerIP: 192.0.2.4, asNumber: 65001'),
      statics('transit: false'),
    );
    assert.deepEqual(
      peers.map(({ config }) => config.exportPolicy?.rules.map(({ match, action }) => ({ match, action }))),
      [
        undefined,
        [{ match: { source: 'peer' }, action: 'reject' }],
        [{ match: { source: 'peer' }, action: 'reject' }],
      ],
    );
    assert.deepEqual(
      peers.map(({ config }) => config.importPolicy?.name),
      [undefined, 'all', undefined],
    );
  });

  it('static routes carry the communities of prefixAdvertisements', () => {
    const { statics: routes } = plan(
      NODE,
      `{${CALICO}, kind: BGPConfiguration, metadata: {name: default}, spec: {prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: ["65001:9"]}]}}`,
      statics('routes: [{prefix: 10.1.0.0/16, communities: ["65001:7"]}, {prefix: 11.0.0.0/16}]'),
    );
    assert.deepEqual(
      routes.map(({ attributes }) => attributes.communities),
      [[65001 * 65536 + 7, 65001 * 65536 + 9], undefined],
    );
  });

  it('reachableBy needs routes in the kernel: without them it is said to have no effect', () => {
    const far = read(NODE, peer('far', 'peerIP: 203.0.113.1, asNumber: 65009, reachableBy: 192.0.2.9'));
    const told = (setsRoutes: boolean): string[] => {
      const made = makePlan(far, { ...HOST, setsRoutes }, 'f.yaml');
      assert.ok(made.ok);
      return made.plan.findings.map(({ code }) => code);
    };
    assert.deepEqual([told(false), told(true)], [['peer-gateway'], []]);
  });

  it('a peer from a range has the filters of its group; a container is no peer of a speaker alone', () => {
    const group =
      '{apiVersion: projectcalico.org/v3, kind: BGPPeer, metadata: {name: g, annotations: {ocicat.dev/template: "true"}}, spec: {filters: [all]}}';
    const range =
      '{apiVersion: projectcalico.org/v3, kind: BGPPeer, metadata: {name: r, annotations: {ocicat.dev/peer-group: g, ocicat.dev/remote-as: external, ocicat.dev/listen-range: 192.0.2.0/24}}, spec: {}}';
    const [one, ...others] = plan(NODE, ALL, group, range).ranges;
    assert.deepEqual(
      [one?.range.name, one?.range.template.acceptedAs, one?.range.template.importPolicy?.name, others],
      ['r', 'external', 'all', []],
    );
    const workloads = read(NODE, peer('w', 'localWorkloadSelector: all(), asNumber: 65009'));
    const made = makePlan(workloads, HOST, 'f.yaml');
    assert.ok(!made.ok);
    assert.match(made.faults[0] ?? '', /BGPPeer w: spec\.localWorkloadSelector needs containers/);
  });

  it('a key file that cannot be had is a fault with its remedy', () => {
    const annotated = peer('a', 'peerIP: 192.0.2.2, asNumber: 65002').replace(
      'metadata: {name: a}',
      'metadata: {name: a, annotations: {ocicat.dev/password-file: /etc/key}}',
    );
    const made = makePlan(read(NODE, annotated), HOST, 'f.yaml');
    assert.ok(!made.ok);
    assert.match(made.faults[0] ?? '', /^f\.yaml: BGPPeer a: \/etc\/key is not there/);
  });
});

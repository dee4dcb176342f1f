import assert from 'node:assert/strict';
import { checkPeers } from '../../../../../bgp/speaker/config.ts';
import type { PeerConfig } from '../../../../../bgp/types.ts';
import { exportedRules } from '../../../../../src/agent/bgp/filters.ts';
import type { PasswordResult, PeerInputs } from '../../../../../src/agent/bgp/peer-types.ts';
import { selectPeers } from '../../../../../src/agent/bgp/peers.ts';
import type { BgpConfiguration, BgpConfigurationSpec } from '../../../../../src/model/bgp-configuration.ts';
import type { BgpPeer, BgpPeerSpec } from '../../../../../src/model/bgp-peer.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';
import type { Node } from '../../../../../src/model/node.ts';
import { type Address, formatAddress, parseAddress } from '../../../../../src/net/address.ts';
import { parseInterfaceAddress, parsePrefix } from '../../../../../src/net/prefix.ts';

function peer(name: string, spec: BgpPeerSpec): BgpPeer {
  return { apiVersion: API_VERSION, kind: 'BGPPeer', metadata: { name }, spec };
}

function node(name: string, ipv4Address: string, asNumber?: number): Node {
  return {
    apiVersion: API_VERSION,
    kind: 'Node',
    metadata: { name },
    spec: { bgp: { ipv4Address, ...(asNumber === undefined ? {} : { asNumber }) } },
  };
}

function inputs(change: Partial<PeerInputs> = {}): PeerInputs {
  const own = parseInterfaceAddress('192.0.2.2/24');
  const subnet = parsePrefix('192.0.2.0/24');
  assert.ok(own && subnet);
  return {
    node: { name: 'h1', labels: { rack: 'r1' }, asNumber: 65101, addresses: { ipv4: own } },
    nodes: [],
    configuration: undefined,
    peers: [],
    connected: [subnet],
    policy: {
      guards: { ownBlocks: [], connectedSubnets: [subnet] },
      filters: [],
      exported: exportedRules([]),
    },
    interfaceTo: () => undefined,
    password: () => ({ problem: 'there is no file' }),
    ...change,
  };
}

const names = (change: Partial<PeerInputs>): string[] =>
  selectPeers(inputs(change)).peers.map(({ config }) => config.name);

describe('src/agent/bgp/peers', () => {
  it('takes peers for all nodes, for this node and for its labels', () => {
    const peers = [
      peer('a', { peerIP: '192.0.2.1', asNumber: 65001 }),
      peer('b', { peerIP: '192.0.2.3', asNumber: 65001, node: 'h1' }),
      peer('c', { peerIP: '192.0.2.4', asNumber: 65001, node: 'h2' }),
      peer('d', { peerIP: '192.0.2.5', asNumber: 65001, nodeSelector: 'rack == "r1"' }),
      peer('e', { peerIP: '192.0.2.6', asNumber: 65001, nodeSelector: 'rack == "r2"' }),
    ];
    assert.deepEqual(names({ peers }), ['192.0.2.1', '192.0.2.3', '192.0.2.5']);
  });

  it('holds a connected external peer to one hop and dials another from the node address', () => {
    const { peers } = selectPeers(
      inputs({
        peers: [
          peer('near', { peerIP: '192.0.2.1', asNumber: 65001 }),
          peer('far', { peerIP: '198.51.100.1:1179', asNumber: 65001 }),
        ],
      }),
    );
    const [near, far] = peers.map(({ config }) => config);
    assert.ok(near && far);
    assert.deepEqual([near.ttl, near.localAddress, near.port], [1, undefined, 179]);
    assert.deepEqual([far.ttl, far.localAddress !== undefined, far.port], [64, true, 1179]);
  });

  it('an external peer over one hop stands and falls with its link, unless it is told not to', () => {
    const onlyLinkTo = (): string => 'eth0';
    const link = (
      spec: BgpPeerSpec,
      annotations: Record<string, string> = {},
      change: Partial<PeerInputs> = { onlyLinkTo },
    ): string | undefined => {
      const one = peer('p', { asNumber: 65001, ...spec });
      const metadata = {
        name: 'p',
        annotations: Object.fromEntries(
          Object.entries(annotations).map(([key, value]) => [`ocicat.dev/${key}`, value]),
        ),
      };
      const { peers, ranges } = selectPeers(inputs({ peers: [{ ...one, metadata }], ...change }));
      return (peers[0]?.config ?? ranges[0]?.range.template)?.failoverLink;
    };
    const near = { peerIP: '192.0.2.1' };
    assert.equal(link(near), 'eth0');
    assert.equal(link(near, { 'fast-external-failover': 'true' }), 'eth0');
    assert.equal(link(near, { 'fast-external-failover': 'false' }), undefined);
    assert.equal(link(near, {}, {}), undefined, 'nobody follows the links');
    assert.equal(link(near, {}, { onlyLinkTo: () => undefined }), undefined, 'several lead there');
    assert.equal(link({ ...near, asNumber: 65101 }), undefined, 'iBGP');
    assert.equal(link({ peerIP: '198.51.100.1' }), undefined, 'several hops');
    // By TTL and TTL security: how far the session may reach.
    assert.equal(link(near, { ttl: '2' }), undefined);
    assert.equal(link(near, { ttl: '255' }), 'eth0');
    assert.equal(link({ ...near, ttlSecurity: 1 }), 'eth0');
    assert.equal(link({ ...near, ttlSecurity: 2 }), undefined);
    // Bound to a link, it has no other; and whoever is on a link.
    assert.equal(link({ peerIP: '198.51.100.1' }, { interface: 'eth7' }), 'eth7');
    assert.equal(link({ peerIP: 'fe80::1' }, { interface: 'eth7' }), 'eth7');
    assert.equal(link({}, { interface: 'eth7' }), 'eth7');
    assert.equal(link({}, { 'listen-range': '192.0.2.0/25' }), 'eth0');
    assert.equal(link({}, { 'listen-range': '192.0.0.0/16' }), undefined);
    assert.equal(link({ asNumber: 0 }, { interface: 'eth7', 'remote-as': 'external' }), 'eth7');
    // Out of its group.
    const group = peer('g', { asNumber: 65001 });
    const annotations = { 'ocicat.dev/template': 'true', 'ocicat.dev/fast-external-failover': 'false' };
    const member = peer('m', near);
    const { peers } = selectPeers(
      inputs({
        onlyLinkTo,
        peers: [
          { ...group, metadata: { name: 'g', annotations } },
          { ...member, metadata: { name: 'm', annotations: { 'ocicat.dev/peer-group': 'g' } } },
        ],
      }),
    );
    assert.deepEqual(
      peers.map(({ config }) => [config.name, config.failoverLink]),
      [['192.0.2.1', undefined]],
    );
  });

  it('each address of a chosen container is a peer, to which the host speaks from the one address', () => {
    const peers = [
      peer('children', { localWorkloadSelector: 'role == "r"', asNumber: 65401, sourceAddress: 'None' }),
    ];
    const address = (text: string): Address => {
      const parsed = parseAddress(text);
      assert.ok(parsed);
      return parsed;
    };
    const configuration = (spec: BgpConfigurationSpec): BgpConfiguration => ({
      apiVersion: API_VERSION,
      kind: 'BGPConfiguration',
      metadata: { name: 'default' },
      spec,
    });
    const workloads: PeerInputs['workloads'] = (selector) =>
      selector === 'role == "r"'
        ? [{ link: 'oci1', addresses: [address('10.65.0.1'), address('fd00:65::1')] }]
        : [];
    const four = { localWorkloadPeeringIPV4: '169.254.0.179' };
    const both = { ...four, localWorkloadPeeringIPV6: 'fd00::179' };
    const told = (change: Partial<PeerInputs>): unknown[] =>
      selectPeers(inputs({ peers, ...change })).peers.map(({ config, workload }) => [
        config.name,
        config.ttl,
        config.localAddress && formatAddress(config.localAddress),
        workload?.link,
      ]);
    assert.deepEqual(told({ workloads, configuration: configuration(both) }), [
      ['10.65.0.1', 64, '169.254.0.179', 'oci1'],
      ['fd00:65::1', 64, 'fd00::179', 'oci1'],
    ]);
    assert.deepEqual(told({ workloads, configuration: configuration(four) }), [
      ['10.65.0.1', 64, '169.254.0.179', 'oci1'],
    ]);
    const why = (change: Partial<PeerInputs>): string | undefined =>
      selectPeers(inputs({ peers, ...change })).findings[0]?.message;
    assert.match(
      why({ workloads, configuration: configuration({}) }) ?? '',
      /needs an address for this host/,
    );
    assert.match(why({ configuration: configuration(both) }) ?? '', /needs containers/);
    const elsewhere = peers.map((each) => ({ ...each, spec: { ...each.spec, node: 'h2' } }));
    assert.deepEqual(told({ workloads, configuration: configuration(both), peers: elsewhere }), []);
  });

  it('gives each session its own family', () => {
    const { peers } = selectPeers(
      inputs({ peers: [peer('six', { peerIP: '[2001:db8::1]:179', asNumber: 65001 })] }),
    );
    assert.deepEqual(peers[0]?.config.families, ['ipv6']);
  });

  it('keeps the first of two resources for one address and says so', () => {
    const { peers, findings } = selectPeers(
      inputs({
        peers: [
          peer('y', { peerIP: '192.0.2.1', asNumber: 2 }),
          peer('x', { peerIP: '192.0.2.1', asNumber: 1 }),
        ],
      }),
    );
    assert.deepEqual(
      peers.map(({ config }) => config.peerAs),
      [1],
    );
    assert.deepEqual(
      findings.map(({ code }) => code),
      ['peer-duplicate'],
    );
  });

  it('does not peer with itself', () => {
    const { peers, findings } = selectPeers(
      inputs({ peers: [peer('self', { peerIP: '192.0.2.2', asNumber: 1 })] }),
    );
    assert.deepEqual([peers.length, findings[0]?.code], [0, 'peer-is-self']);
  });

  it('meshes with the other nodes, the lower address dialling', () => {
    const nodes = [
      node('h1', '192.0.2.2/24', 65101),
      node('h0', '192.0.2.1/24', 65101),
      node('h9', '192.0.2.9/24', 65101),
    ];
    const { peers } = selectPeers(inputs({ nodes }));
    assert.deepEqual(
      peers.map(({ config, resource }) => [config.name, config.passive, resource]),
      [
        ['192.0.2.1', true, 'mesh h0'],
        ['192.0.2.9', false, 'mesh h9'],
      ],
    );
  });

  it('has no mesh when BGPConfiguration turns it off', () => {
    const configuration = {
      apiVersion: API_VERSION,
      kind: 'BGPConfiguration',
      metadata: { name: 'default' },
      spec: { nodeToNodeMeshEnabled: false },
    } as const;
    assert.deepEqual(names({ nodes: [node('h0', '192.0.2.1/24', 65101)], configuration }), []);
  });

  const one = (
    spec: BgpPeerSpec,
    annotations: Record<string, string> = {},
    change: Partial<PeerInputs> = {},
  ): { config: PeerConfig; codes: string[] } => {
    const resource = { ...peer('p', { peerIP: '192.0.2.1', asNumber: 65001, ...spec }) };
    const { peers, findings } = selectPeers(
      inputs({ peers: [{ ...resource, metadata: { name: 'p', annotations } }], ...change }),
    );
    assert.ok(peers[0]);
    return { config: peers[0].config, codes: findings.map(({ code }) => code) };
  };

  it('carries out the fields of a BGPPeer', () => {
    const own = parseInterfaceAddress('192.0.2.2/24')?.address;
    assert.ok(own);
    const fields: readonly [BgpPeerSpec, Partial<PeerConfig>][] = [
      [{ ttlSecurity: 2 }, { ttl: 255, minTtl: 254 }],
      [{ ttlSecurity: 0 }, { ttl: 1 }],
      [{ numAllowedLocalASNumbers: 2 }, { allowOwnAs: 2 }],
      [{ nextHopMode: 'Self' }, { nextHop: 'self' }],
      [{ nextHopMode: 'Keep' }, { nextHop: 'keep' }],
      [{ keepOriginalNextHop: true }, { nextHop: 'keep' }],
      [{ keepOriginalNextHop: true, asNumber: 65101 }, { nextHop: 'auto' }],
      [{ maxRestartTime: '60s' }, { gracefulRestart: { restartTimeSec: 60, maxHelperTimeSec: 60 } }],
      [{ keepaliveTime: '10s' }, { keepaliveTimeSec: 10 }],
      [{ localASNumber: 65500 }, { localAs: 65500, localAsOptions: { noPrepend: true, replaceAs: true } }],
      [{ sourceAddress: 'UseNodeIP' }, { localAddress: own }],
    ];
    for (const [spec, expected] of fields) {
      const { config, codes } = one(spec);
      assert.deepEqual({ ...config, ...expected }, config, JSON.stringify(spec));
      assert.deepEqual(codes, []);
    }
    assert.equal(one({ peerIP: '198.51.100.1', sourceAddress: 'None' }).config.localAddress, undefined);
  });

  it('carries out ocicat.dev annotations', () => {
    const { config } = one(
      {},
      {
        'ocicat.dev/families': 'ipv4-unicast,ipv6-unicast',
        'ocicat.dev/hold-time': '9',
        'ocicat.dev/max-prefix-ipv4': '100',
        'ocicat.dev/max-prefix-action': 'warn',
        'ocicat.dev/add-path': 'send',
        'ocicat.dev/role': 'customer',
        'ocicat.dev/graceful-restart': 'off',
        'ocicat.dev/shutdown': 'true',
        'ocicat.dev/bfd': 'true',
        'ocicat.dev/bfd-interval': '100',
        'ocicat.dev/bfd-strict': 'true',
        'ocicat.dev/shutdown-text': 'maintenance',
      },
    );
    assert.deepEqual(config.families, ['ipv4', 'ipv6']);
    assert.equal(config.holdTimeSec, 9);
    assert.deepEqual(config.maxPrefixes?.ipv4, {
      limit: 100,
      count: 'received',
      warnPercent: 75,
      action: { kind: 'warn' },
    });
    assert.equal(config.maxPrefixes?.ipv6, undefined);
    assert.deepEqual(config.addPath, { send: ['ipv4', 'ipv6'] });
    assert.deepEqual(config.role, { local: 'customer', strict: false });
    assert.deepEqual([config.gracefulRestart, config.adminDown], [undefined, true]);
    assert.deepEqual(config.bfd, {
      minTxMs: 100,
      minRxMs: 100,
      multiplier: 3,
      multihop: false,
      strict: true,
    });
    assert.equal(config.shutdownText, 'maintenance');
    const far = one({ peerIP: '198.51.100.1', ttlSecurity: 3 }, { 'ocicat.dev/bfd': 'true' }).config;
    assert.deepEqual(far.bfd, { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: true, minTtl: 253 });
    checkPeers([config]);
  });

  it('a peer whose key cannot be read stays down and says so; with the key it has it', () => {
    const file = { 'ocicat.dev/password-file': '/etc/ocicat/key' };
    const without = one({}, file);
    assert.deepEqual(
      [without.config.adminDown, without.config.password, without.codes],
      [true, undefined, ['password-unavailable']],
    );
    const { config } = one({}, file, { password: () => ({ password: 'secret' }) });
    assert.deepEqual([config.adminDown, config.password], [false, 'secret']);
  });

  it('leaves out what the speaker cannot use, with the reason, and keeps the rest', () => {
    const { peers, findings } = selectPeers(
      inputs({
        peers: [
          peer('bad', { peerIP: 'fe80::1', asNumber: 65001 }),
          peer('good', { peerIP: '192.0.2.1', asNumber: 65001 }),
        ],
      }),
    );
    assert.deepEqual(
      [peers.map(({ config }) => config.name), findings.map(({ code }) => code)],
      [['192.0.2.1'], ['peer-invalid']],
    );
    assert.match(findings[0]?.message ?? '', /BGPPeer bad cannot be used: .*interface/);
  });

  it('names a setting that means nothing, and goes on without it', () => {
    const { config, codes } = one({}, { 'ocicat.dev/hold-tme': '9', 'example.com/x': '1' });
    assert.deepEqual([config.holdTimeSec, codes], [90, ['peer-setting']]);
  });

  it('names a filter that does not exist', () => {
    assert.deepEqual(one({ filters: ['gone'] }).codes, ['filter-missing']);
  });

  describe('nodes among themselves', () => {
    const labelled = (each: Node, labels: Record<string, string>, cluster?: string): Node => ({
      ...each,
      metadata: { ...each.metadata, labels },
      spec: {
        bgp: { ...each.spec.bgp, ...(cluster !== undefined && { routeReflectorClusterID: cluster }) },
      },
    });
    const self = (cluster?: string): Node =>
      labelled(node('h1', '192.0.2.2/24', 65101), { rack: 'r1' }, cluster);
    const reflector = labelled(node('rr', '192.0.2.100/24', 65101), { rr: 'yes' }, '1.0.0.1');
    const plain = labelled(node('h3', '192.0.2.3/24', 65101), { rack: 'r1' });
    const toReflectors = peer('to-rr', { nodeSelector: '!has(rr)', peerSelector: 'has(rr)' });
    const seen = (change: Partial<PeerInputs>): unknown[] =>
      selectPeers(inputs(change)).peers.map(({ config, resource }) => [
        config.name,
        resource,
        config.routeReflectorClient ?? false,
      ]);

    it('a node peers with the reflectors that it selects; these are outside the mesh', () => {
      assert.deepEqual(seen({ nodes: [self(), reflector, plain], peers: [toReflectors] }), [
        ['192.0.2.3', 'mesh h3', false],
        ['192.0.2.100', 'BGPPeer to-rr', false],
      ]);
    });

    it('a reflector peers back with its clients, not with another of its cluster as one', () => {
      const change = {
        node: { ...inputs().node, labels: { rr: 'yes' } },
        nodes: [self('1.0.0.1'), reflector, plain],
        peers: [toReflectors, peer('among', { nodeSelector: 'has(rr)', peerSelector: 'has(rr)' })],
      };
      assert.deepEqual(seen(change), [
        ['192.0.2.3', 'BGPPeer to-rr', true],
        ['192.0.2.100', 'BGPPeer among', false],
      ]);
    });

    it('reversePeering Manual leaves the way back out', () => {
      const manual = peer('to-rr', { ...toReflectors.spec, reversePeering: 'Manual' });
      const change = {
        node: { ...inputs().node, labels: { rr: 'yes' } },
        nodes: [self('1.0.0.1'), plain],
        peers: [manual],
      };
      assert.deepEqual(seen(change), []);
    });

    it('a node is dialled where its own configuration says that it listens, also when peerIP names it without a port', () => {
      const of = (name: string, listenPort: number): BgpConfiguration => ({
        apiVersion: API_VERSION,
        kind: 'BGPConfiguration',
        metadata: { name },
        spec: { listenPort },
      });
      const ports = (peers: readonly BgpPeer[]): number[] =>
        selectPeers(
          inputs({
            nodes: [node('h1', '192.0.2.2/24'), node('h2', '192.0.2.7/24'), node('h3', '192.0.2.8/24')],
            configuration: of('default', 1179),
            configurationOf: (name) => (name === 'h3' ? of('node.h3', 2179) : of('default', 1180)),
            peers,
          }),
        ).peers.map(({ config }) => config.port);
      assert.deepEqual(ports([]), [1180, 2179]);
      assert.deepEqual(ports([peer('h3', { peerIP: '192.0.2.8', asNumber: 65009 })]), [1180, 2179]);
      assert.deepEqual(ports([peer('h3', { peerIP: '192.0.2.8:4179', asNumber: 65009 })]), [1180, 4179]);
    });

    it('annotations and restart time of BGPConfiguration hold for the mesh', () => {
      const configuration = {
        apiVersion: API_VERSION,
        kind: 'BGPConfiguration',
        metadata: {
          name: 'default',
          annotations: { 'ocicat.dev/hold-time': '30', 'ocicat.dev/password-file': '/mesh.key' },
        },
        spec: {
          nodeMeshMaxRestartTime: '45s',
          nodeMeshPassword: { secretKeyRef: { name: 'mesh', key: 'password' } },
        },
      } as const;
      const password = (file: string): PasswordResult => ({ password: `of ${file}` });
      const { config } = selectPeers(inputs({ nodes: [plain], configuration, password })).peers[0] ?? {};
      assert.deepEqual([config?.holdTimeSec, config?.gracefulRestart?.restartTimeSec], [30, 45]);
      assert.equal(config?.password, 'of /mesh.key');
    });
  });
});

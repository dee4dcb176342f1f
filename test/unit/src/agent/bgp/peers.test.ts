import assert from 'node:assert/strict';
import type { FilterChain } from '../../../../../bgp/policy/types.ts';
import { type PeerInputs, selectPeers } from '../../../../../src/agent/bgp/peers.ts';
import type { BgpPeer, BgpPeerSpec } from '../../../../../src/model/bgp-peer.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';
import type { Node } from '../../../../../src/model/node.ts';
import { parseInterfaceAddress, parsePrefix } from '../../../../../src/net/prefix.ts';

const CHAIN: FilterChain = { name: 'builtin', rules: [], fallThrough: 'reject' };

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
    importPolicy: CHAIN,
    exportPolicy: CHAIN,
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
});

import assert from 'node:assert/strict';
import { exportedRules } from '../../../../../src/agent/bgp/filters.ts';
import type { NodePeer, PeerInputs } from '../../../../../src/agent/bgp/peer-types.ts';
import { selectPeers } from '../../../../../src/agent/bgp/peers.ts';
import { sessionEffects } from '../../../../../src/agent/bgp/preview.ts';
import type { BgpFilter } from '../../../../../src/model/bgp-filter.ts';
import type { BgpPeer, BgpPeerSpec } from '../../../../../src/model/bgp-peer.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';

const peer = (name: string, spec: BgpPeerSpec, annotations: Record<string, string> = {}): BgpPeer => ({
  apiVersion: API_VERSION,
  kind: 'BGPPeer',
  metadata: { name, annotations },
  spec: { asNumber: 65001, ...spec },
});

function select(peers: readonly BgpPeer[], change: Partial<PeerInputs> = {}): readonly NodePeer[] {
  return selectPeers({
    node: { name: 'h1', labels: {}, asNumber: 65101, addresses: {} },
    nodes: [],
    configuration: undefined,
    peers,
    connected: [],
    policy: {
      guards: { ownBlocks: [], connectedSubnets: [] },
      filters: [],
      exported: exportedRules([]),
    },
    interfaceTo: () => undefined,
    password: () => ({ password: 'old' }),
    ...change,
  }).peers;
}

describe('src/agent/bgp/preview', () => {
  const before = select([peer('a', { peerIP: '192.0.2.1' }), peer('b', { peerIP: '192.0.2.2' })]);
  const texts = (now: readonly NodePeer[], then: readonly NodePeer[], fixed: string[] = []): string[] =>
    sessionEffects(now, then, fixed).map(({ peer: name, effect, reasons }) =>
      `${name} ${effect} ${reasons.join()}`.trim(),
    );

  it('says nothing of what stays', () => assert.deepEqual(texts(before, before), []));

  it('tells added and removed, reset and live, with the fields', () => {
    const a = (spec: BgpPeerSpec, annotations?: Record<string, string>): readonly NodePeer[] =>
      select([peer('a', { peerIP: '192.0.2.1', ...spec }, annotations), peer('b', { peerIP: '192.0.2.2' })]);
    assert.deepEqual(
      texts(before, select([peer('a', { peerIP: '192.0.2.1' }), peer('c', { peerIP: '192.0.2.3' })])),
      ['192.0.2.2 removed', '192.0.2.3 added'],
    );
    assert.deepEqual(texts(before, a({}, { 'ocicat.dev/hold-time': '30' })), ['192.0.2.1 reset holdTimeSec']);
    assert.deepEqual(texts(before, a({ asNumber: 65002 })), ['192.0.2.1 reset peerAs']);
    assert.deepEqual(texts(before, a({ nextHopMode: 'Self' })), ['192.0.2.1 live nextHop']);
    assert.deepEqual(texts(before, a({}, { 'ocicat.dev/password-file': '/k' })), [
      '192.0.2.1 reset password',
    ]);
    assert.deepEqual(texts(before, before, ['port']), ['192.0.2.1 reset port', '192.0.2.2 reset port']);
  });

  it('another key or another filter is a change under the session, and the key is not shown', () => {
    const file = { 'ocicat.dev/password-file': '/k' };
    const keyed = (password: string): readonly NodePeer[] =>
      select([peer('a', { peerIP: '192.0.2.1' }, file)], { password: () => ({ password }) });
    assert.deepEqual(texts(keyed('old'), keyed('new')), ['192.0.2.1 live password']);
    const filtered = (filter: BgpFilter): readonly NodePeer[] =>
      select([peer('a', { peerIP: '192.0.2.1', filters: ['f'] })], {
        policy: {
          guards: { ownBlocks: [], connectedSubnets: [] },
          filters: [filter],
          exported: exportedRules([]),
        },
      });
    const filter = (action: 'Accept' | 'Reject'): BgpFilter => ({
      apiVersion: API_VERSION,
      kind: 'BGPFilter',
      metadata: { name: 'f' },
      spec: { importV4: [{ action }] },
    });
    assert.deepEqual(texts(filtered(filter('Accept')), filtered(filter('Reject'))), [
      '192.0.2.1 live importPolicy',
    ]);
  });
});

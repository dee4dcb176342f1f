import assert from 'node:assert/strict';
import { API_VERSION } from '../../../../src/model/kinds.ts';
import { checkSupport } from '../../../../src/model/support.ts';
import type { Resource } from '../../../../src/model/types.ts';

const peer = (spec: object, annotations: Record<string, string> = {}): Resource => ({
  apiVersion: API_VERSION,
  kind: 'BGPPeer',
  metadata: { name: 'p', annotations },
  spec,
});
const configuration = (name: string, spec: object): Resource => ({
  apiVersion: API_VERSION,
  kind: 'BGPConfiguration',
  metadata: { name },
  spec,
});

describe('src/model/bgp-support', () => {
  const taken: readonly Resource[] = [
    peer({
      peerIP: '192.0.2.1',
      asNumber: 65001,
      localASNumber: 65002,
      nextHopMode: 'Self',
      sourceAddress: 'None',
      maxRestartTime: '60s',
      keepaliveTime: '10s',
      numAllowedLocalASNumbers: 2,
      ttlSecurity: 1,
      reachableBy: '192.0.2.7',
      filters: ['f'],
    }),
    peer({ localWorkloadSelector: 'role == "router"', asNumber: 1, nodeSelector: 'all()' }),
    configuration('default', {
      localWorkloadPeeringIPV4: '169.254.0.179',
      localWorkloadPeeringIPV6: 'fd00::179',
    }),
    peer({ peerSelector: 'has(rr)', nodeSelector: 'all()', reversePeering: 'Manual' }),
    peer(
      { peerIP: '192.0.2.1', asNumber: 1, password: { secretKeyRef: { name: 's', key: 'k' } } },
      { 'ocicat.dev/password-file': '/etc/key' },
    ),
    peer({ asNumber: 65001 }, { 'ocicat.dev/template': 'true' }),
    peer({ peerIP: '192.0.2.1' }, { 'ocicat.dev/peer-group': 'tors' }),
    peer({ asNumber: 65001, nodeSelector: 'all()' }, { 'ocicat.dev/listen-range': '192.0.2.0/24' }),
    peer({}, { 'ocicat.dev/listen-range': '2001:db8::/64', 'ocicat.dev/remote-as': 'external' }),
    configuration('default', {
      communities: [{ name: 'c', value: '1:2' }],
      prefixAdvertisements: [{ cidr: '10.0.0.0/8', communities: ['c'] }],
      bindMode: 'NodeIP',
      ignoredInterfaces: ['docker*'],
      nodeMeshMaxRestartTime: '2m',
    }),
    configuration('node.h1', { listenPort: 1179, prefixAdvertisements: [] }),
  ];
  for (const resource of taken) {
    it(`takes ${JSON.stringify(resource.spec)}`, () => assert.deepEqual(checkSupport(resource).refused, []));
  }

  const refused: readonly [Resource, string, RegExp][] = [
    [peer({}), 'spec.peerIP', /missing/],
    [peer({ peerIP: '192.0.2.1' }), 'spec.asNumber', /missing/],
    [
      configuration('default', { localWorkloadPeeringIPV6: 'fe80::179' }),
      'spec.localWorkloadPeeringIPV6',
      /must not be link-local.*fd00::179/,
    ],
    [
      peer({ peerIP: '192.0.2.1', asNumber: 1, password: { secretKeyRef: { name: 's', key: 'k' } } }),
      'spec.password',
      /ocicat\.dev\/password-file/,
    ],
    [peer({ peerIP: '192.0.2.1', asNumber: 1, maxRestartTime: '2h' }), 'spec.maxRestartTime', /4095 s/],
    [
      peer({ peerIP: '192.0.2.1', asNumber: 1 }, { 'ocicat.dev/hold-time': '1' }),
      'metadata.annotations["ocicat.dev/hold-time"]',
      /3 to 65535/,
    ],
    [
      peer({ peerIP: '192.0.2.1', asNumber: 1 }, { 'ocicat.dev/listen-range': '192.0.2.0/24' }),
      'spec.peerIP',
      /beside ocicat\.dev\/listen-range/,
    ],
    [peer({}, { 'ocicat.dev/listen-range': '192.0.2.0/24' }), 'spec.asNumber', /missing/],
    [
      peer({ peerIP: '192.0.2.1', asNumber: 1 }, { 'ocicat.dev/remote-as': 'external' }),
      'spec.asNumber',
      /beside ocicat\.dev\/remote-as/,
    ],
    [
      peer({ peerSelector: 'all()' }, { 'ocicat.dev/remote-as': '1' }),
      'spec.peerSelector',
      /the nodes have their own/,
    ],
    [
      {
        ...configuration('default', {}),
        metadata: { name: 'default', annotations: { 'ocicat.dev/peer-group': 'g' } },
      },
      'metadata.annotations["ocicat.dev/peer-group"]',
      /for a BGPPeer/,
    ],
    [configuration('other', {}), 'metadata.name', /default, or node\.NAME/],
    [configuration('node.h1', { asNumber: 1 }), 'spec.asNumber', /concerns all nodes/],
  ];
  for (const [resource, path, reason] of refused) {
    it(`refuses ${resource.metadata.name} ${JSON.stringify(resource.spec)}: ${path}`, () => {
      const problems = checkSupport(resource).refused;
      assert.deepEqual(
        problems.map((problem) => problem.path),
        [path],
      );
      assert.match(problems[0]?.reason ?? '', reason);
    });
  }

  it('warns of an ocicat.dev annotation that means nothing', () => {
    const { ignored, refused: none } = checkSupport(
      peer({ peerIP: '192.0.2.1', asNumber: 1 }, { 'ocicat.dev/hold-tme': '9' }),
    );
    assert.deepEqual(none, []);
    assert.match(ignored[0]?.reason ?? '', /hold-time meant/);
  });
});

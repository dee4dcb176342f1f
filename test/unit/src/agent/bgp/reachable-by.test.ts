import assert from 'node:assert/strict';
import type { Link } from '../../../../../fib/routes/link-table.ts';
import type { RouteTarget } from '../../../../../fib/routes/types.ts';
import { exportedRules } from '../../../../../src/agent/bgp/filters.ts';
import type { NodePeer } from '../../../../../src/agent/bgp/peer-types.ts';
import { selectPeers } from '../../../../../src/agent/bgp/peers.ts';
import { ReachableBy } from '../../../../../src/agent/bgp/reachable-by.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';
import { formatAddress } from '../../../../../src/net/address.ts';
import { formatPrefix, type Prefix, parseInterfaceAddress } from '../../../../../src/net/prefix.ts';

function peersVia(gateway: string | undefined): readonly NodePeer[] {
  return selectPeers({
    node: { name: 'h1', labels: {}, asNumber: 65101, addresses: {} },
    nodes: [],
    configuration: undefined,
    peers: [
      {
        apiVersion: API_VERSION,
        kind: 'BGPPeer',
        metadata: { name: 'far' },
        spec: {
          peerIP: '198.51.100.1',
          asNumber: 65001,
          ...(gateway !== undefined && { reachableBy: gateway }),
        },
      },
    ],
    connected: [],
    policy: { guards: { ownBlocks: [], connectedSubnets: [] }, filters: [], exported: exportedRules([]) },
    interfaceTo: () => undefined,
    password: () => ({ problem: 'none' }),
  }).peers;
}

function link(): Link {
  const own = parseInterfaceAddress('192.0.2.2/24');
  assert.ok(own);
  return {
    ifindex: 7,
    name: 'eth0',
    mtu: 1500,
    kind: '',
    mac: new Uint8Array(6),
    isUp: true,
    isRunning: true,
    hasCarrier: true,
    isLoopback: false,
    peerIfindex: 0,
    masterIfindex: 0,
    addresses: [{ address: own.address, length: 24, scope: 0, flags: 0 }],
  };
}

describe('src/agent/bgp/reachable-by', () => {
  it('pins the way to a peer, and takes it away with the wish', () => {
    const routes = new Map<string, RouteTarget>();
    const reachable = new ReachableBy({
      setRoute: (prefix: Prefix, _source, target) => void routes.set(formatPrefix(prefix), target),
      removeRoute: (prefix: Prefix) => void routes.delete(formatPrefix(prefix)),
    });
    assert.deepEqual(reachable.set(peersVia('192.0.2.9'), [link()]), []);
    const [[prefix, target] = []] = routes;
    const [hop] = target?.nextHops ?? [];
    assert.deepEqual(
      [prefix, target?.kind, hop?.ifindex, hop?.gateway && formatAddress(hop.gateway)],
      ['198.51.100.1/32', 'unicast', 7, '192.0.2.9'],
    );
    const findings = reachable.set(peersVia('203.0.113.9'), [link()]);
    assert.deepEqual([findings.map(({ code }) => code), routes.size], [['peer-gateway'], 0]);
    reachable.set(peersVia('192.0.2.9'), [link()]);
    reachable.set(peersVia(undefined), [link()]);
    assert.equal(routes.size, 0);
  });
});

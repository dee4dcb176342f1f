import assert from 'node:assert/strict';
import { checkPeers } from '../../../../../bgp/speaker/config.ts';
import type { PeerConfig } from '../../../../../bgp/types.ts';
import type { Discovered } from '../../../../../fib/discovery/discovery.ts';
import { exportedRules } from '../../../../../src/agent/bgp/filters.ts';
import type { PeerInputs, PeerSelection } from '../../../../../src/agent/bgp/peer-types.ts';
import { selectPeers } from '../../../../../src/agent/bgp/peers.ts';
import { unnumberedInterfaces } from '../../../../../src/agent/bgp/unnumbered.ts';
import type { BgpPeer, BgpPeerSpec } from '../../../../../src/model/bgp-peer.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';
import { checkSupport } from '../../../../../src/model/support.ts';
import { type Address, formatAddress, parseAddress } from '../../../../../src/net/address.ts';

function peer(name: string, spec: BgpPeerSpec, settings: Record<string, string> = {}): BgpPeer {
  const annotations = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`ocicat.dev/${key}`, value]),
  );
  return { apiVersion: API_VERSION, kind: 'BGPPeer', metadata: { name, annotations }, spec };
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed);
  return parsed;
}

const found = (text: string, ...rivals: string[]): Discovered => ({
  found: true,
  address: address(text),
  rivals: rivals.map(address),
});

function select(
  peers: readonly BgpPeer[],
  neighbours: Record<string, Discovered> = {},
  change: Partial<PeerInputs> = {},
): PeerSelection {
  return selectPeers({
    node: { name: 'h1', labels: { rack: 'r1' }, asNumber: 65101, addresses: {} },
    nodes: [],
    configuration: undefined,
    peers,
    connected: [],
    policy: { guards: { ownBlocks: [], connectedSubnets: [] }, filters: [], exported: exportedRules([]) },
    interfaceTo: () => undefined,
    password: () => ({ password: 'secret' }),
    neighbourOn: (name) => neighbours[name] ?? { found: false, why: 'silent', rivals: [] },
    ...change,
  });
}

function only({ peers }: PeerSelection): PeerConfig {
  const [first, ...others] = peers;
  assert.ok(first !== undefined && others.length === 0);
  checkPeers([first.config]);
  return first.config;
}

describe('src/agent/bgp/unnumbered', () => {
  it('a peer with an interface and no address is whoever is on it: both families, one hop, named after the link', () => {
    const config = only(
      select([peer('tor', {}, { interface: 'eth0', 'remote-as': 'external', bfd: 'true' })], {
        eth0: found('fe80::1'),
      }),
    );
    assert.deepEqual(
      [config.name, formatAddress(config.address), config.interface, config.passive, config.acceptedAs],
      ['eth0', 'fe80::1', 'eth0', false, 'external'],
    );
    assert.deepEqual([config.families, config.extendedNextHop, config.ttl], [['ipv4', 'ipv6'], true, 1]);
    assert.deepEqual([config.localAddress, config.bfd?.multihop], [undefined, false]);
  });

  it('waits while nobody is known, and says for what', () => {
    const settings = { interface: 'eth0', bfd: 'true', 'password-file': '/etc/key' };
    const selection = select([peer('tor', { asNumber: 65001 }, settings)]);
    const config = only(selection);
    assert.deepEqual(
      [config.name, formatAddress(config.address), config.passive, config.bfd, config.password],
      ['eth0', '::', true, undefined, undefined],
    );
    assert.equal(config.peerAs, 65001);
    assert.deepEqual(
      selection.findings.map(({ code, severity }) => [code, severity]),
      [['peer-not-found', 'warning']],
    );
    assert.match(selection.findings[0]?.message ?? '', /BGPPeer tor waits for its neighbour on eth0: nobody/);
  });

  it('says so when there are others on the link', () => {
    const { findings } = select([peer('tor', { asNumber: 65001 }, { interface: 'eth0' })], {
      eth0: found('fe80::1', 'fe80::2'),
    });
    assert.match(findings[0]?.message ?? '', /is with fe80::1 on eth0, but there are others: fe80::2/);
  });

  it('settings of the peer hold before those that go with an interface', () => {
    const config = only(
      select(
        [
          peer(
            'tor',
            { asNumber: 65001 },
            { interface: 'eth0', families: 'ipv6', 'extended-next-hop': 'false', ttl: '255' },
          ),
        ],
        { eth0: found('fe80::1') },
      ),
    );
    assert.deepEqual([config.families, config.extendedNextHop, config.ttl], [['ipv6'], undefined, 255]);
  });

  it('one link has one peer, also when another names its address; the same address on two links is two', () => {
    const peers = [
      peer('a', { asNumber: 65001 }, { interface: 'eth0' }),
      peer('b', { asNumber: 65002 }, { interface: 'eth0' }),
      peer('c', { asNumber: 65002 }, { interface: 'eth1' }),
      peer('d', { asNumber: 65001, peerIP: 'fe80::1' }, { interface: 'eth0' }),
    ];
    const selection = select(peers, { eth0: found('fe80::1'), eth1: found('fe80::1') });
    assert.deepEqual(
      selection.peers.map(({ config, resource }) => [config.name, resource]),
      [
        ['eth0', 'BGPPeer a'],
        ['eth1', 'BGPPeer c'],
      ],
    );
    checkPeers(selection.peers.map(({ config }) => config));
    assert.deepEqual(
      selection.findings.map(({ code }) => code),
      ['peer-duplicate', 'peer-duplicate'],
    );
  });

  it('a link-local peerIP is one hop away', () => {
    const config = only(select([peer('tor', { peerIP: 'fe80::1', asNumber: 65001 }, { interface: 'eth0' })]));
    assert.deepEqual([config.name, config.ttl, config.families], ['fe80::1%eth0', 1, ['ipv6']]);
  });

  it('the interfaces of a node are those of the peers that it has', () => {
    const peers = [
      peer('a', { node: 'h1' }, { interface: 'eth0' }),
      peer('b', { node: 'h2' }, { interface: 'eth1' }),
      peer('c', { nodeSelector: 'rack == "r1"' }, { interface: 'eth2' }),
      peer('d', { nodeSelector: 'rack == "r2"' }, { interface: 'eth3' }),
      peer('e', { peerIP: 'fe80::1' }, { interface: 'eth4' }),
      peer('f', {}, { interface: 'eth5', template: 'true' }),
      peer('g', {}, { 'listen-range': 'fe80::/64', interface: 'eth6' }),
    ];
    assert.deepEqual(unnumberedInterfaces(peers, { name: 'h1', labels: { rack: 'r1' } }), ['eth0', 'eth2']);
  });

  it('is taken without an address, not without an AS number', () => {
    const refused = (resource: BgpPeer): string[] => checkSupport(resource).refused.map(({ path }) => path);
    assert.deepEqual(refused(peer('a', { asNumber: 65001 }, { interface: 'eth0' })), []);
    assert.deepEqual(refused(peer('a', {}, { interface: 'eth0', 'remote-as': 'internal' })), []);
    assert.deepEqual(refused(peer('a', {}, { interface: 'eth0' })), ['spec.asNumber']);
    assert.deepEqual(refused(peer('a', { asNumber: 65001 })), ['spec.peerIP']);
  });
});

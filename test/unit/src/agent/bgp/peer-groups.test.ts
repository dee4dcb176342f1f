import assert from 'node:assert/strict';
import { Speaker } from '../../../../../bgp/speaker.ts';
import type { PeerStatus } from '../../../../../bgp/types.ts';
import { originsOfPeers, withDynamic } from '../../../../../src/agent/bgp/dynamic.ts';
import { exportedRules } from '../../../../../src/agent/bgp/filters.ts';
import type { PeerInputs, PeerSelection } from '../../../../../src/agent/bgp/peer-types.ts';
import { selectPeers } from '../../../../../src/agent/bgp/peers.ts';
import { sessionEffects } from '../../../../../src/agent/bgp/preview.ts';
import type { BgpPeer, BgpPeerSpec } from '../../../../../src/model/bgp-peer.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';
import { parseAddress } from '../../../../../src/net/address.ts';
import { formatPrefix, parseInterfaceAddress, parsePrefix } from '../../../../../src/net/prefix.ts';

function peer(name: string, spec: BgpPeerSpec, settings: Record<string, string> = {}): BgpPeer {
  const annotations = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`ocicat.dev/${key}`, value]),
  );
  return { apiVersion: API_VERSION, kind: 'BGPPeer', metadata: { name, annotations }, spec };
}

function select(peers: readonly BgpPeer[], change: Partial<PeerInputs> = {}): PeerSelection {
  const own = parseInterfaceAddress('192.0.2.2/24');
  const subnet = parsePrefix('192.0.2.0/24');
  assert.ok(own && subnet);
  return selectPeers({
    node: { name: 'h1', labels: { rack: 'r1' }, asNumber: 65101, addresses: { ipv4: own } },
    nodes: [],
    configuration: undefined,
    peers,
    connected: [subnet],
    policy: { guards: { ownBlocks: [], connectedSubnets: [] }, filters: [], exported: exportedRules([]) },
    interfaceTo: () => undefined,
    password: () => ({ password: 'secret' }),
    ...change,
  });
}

const codes = ({ findings }: PeerSelection): string[] => findings.map(({ code }) => code);
const GROUP = peer(
  'tors',
  { asNumber: 65001, numAllowedLocalASNumbers: 1, nextHopMode: 'Self', nodeSelector: 'rack == "other"' },
  { template: 'true', 'hold-time': '9', bfd: 'true', 'password-file': '/k' },
);

describe('src/agent/bgp/peer-groups', () => {
  it('a member has what its group says and what it says itself; the group makes no session', () => {
    const { peers, findings } = select([
      GROUP,
      peer('a', { peerIP: '192.0.2.1' }, { 'peer-group': 'tors' }),
      peer(
        'b',
        { peerIP: '192.0.2.3', asNumber: 65009, keepOriginalNextHop: true },
        { 'peer-group': 'tors', 'hold-time': '30', 'bfd-interval': '100' },
      ),
    ]);
    assert.deepEqual(findings, []);
    const [a, b] = peers;
    assert.ok(a && b && peers.length === 2);
    assert.deepEqual(
      [a.resource, a.group, a.config.peerAs, a.config.holdTimeSec, a.config.allowOwnAs, a.config.nextHop],
      ['BGPPeer a', 'tors', 65001, 9, 1, 'self'],
    );
    assert.deepEqual([a.config.password, a.config.bfd?.minTxMs], ['secret', 300]);
    assert.deepEqual(
      [b.config.peerAs, b.config.holdTimeSec, b.config.nextHop, b.config.bfd?.minTxMs],
      [65009, 30, 'keep', 100],
    );
  });

  it('a member without its group makes no session, and it is said why', () => {
    const plain = peer('tors', { peerIP: '192.0.2.9', asNumber: 1 });
    const member = peer('a', { peerIP: '192.0.2.1' }, { 'peer-group': 'tors' });
    const [missing, noTemplate] = [select([member]), select([member, plain])];
    assert.deepEqual([missing.peers, codes(missing)], [[], ['peer-group-missing']]);
    assert.match(missing.findings[0]?.message ?? '', /does not exist/);
    assert.match(noTemplate.findings[0]?.message ?? '', /has no ocicat\.dev\/template/);
  });

  it('says what does not go together only when the group is known', () => {
    const group = peer('g', { asNumber: 1 }, { template: 'true' });
    const selection = select([
      group,
      peer('a', { peerIP: '192.0.2.1' }, { 'peer-group': 'g', 'bfd-interval': '100' }),
    ]);
    assert.match(selection.findings[0]?.message ?? '', /BGPPeer a: .*bfd-interval.* needs bfd/);
    const noAs = select([
      peer('g', {}, { template: 'true' }),
      peer('a', { peerIP: '192.0.2.1' }, { 'peer-group': 'g' }),
    ]);
    assert.deepEqual([noAs.peers, codes(noAs)], [[], ['peer-incomplete']]);
  });

  it('remote-as: a list, external, internal; ours among others is refused', () => {
    const accepted = (remote: string): unknown => {
      const { peers, findings } = select([peer('a', { peerIP: '192.0.2.1' }, { 'remote-as': remote })]);
      return peers[0] === undefined
        ? findings[0]?.message
        : [peers[0].config.peerAs, peers[0].config.acceptedAs];
    };
    assert.deepEqual(accepted('65001,65002'), [65001, [65001, 65002]]);
    assert.deepEqual(accepted('external'), [23456, 'external']);
    assert.deepEqual(accepted('internal'), [65101, undefined]);
    assert.match(String(accepted('65001,65101')), /our own AS 65101 among others/);
  });
});

describe('src/agent/bgp/peers: ranges', () => {
  const RANGE = {
    'listen-range': '192.0.2.128/25, 2001:db8::/64',
    'peer-group': 'tors',
    'listen-limit': '7',
  };

  it('a range of prefixes is a range for each, with one limit and all that the group says', () => {
    const { peers, ranges, findings } = select([GROUP, peer('rack', {}, RANGE)]);
    assert.deepEqual([peers, findings], [[], []]);
    assert.deepEqual(
      ranges.map(({ range, group, resource }) => [
        range.name,
        formatPrefix(range.prefix),
        range.limit,
        range.template.ttl,
        range.template.families,
        range.template.password,
        group,
        resource,
      ]),
      [
        ['rack', '192.0.2.128/25', 7, 1, ['ipv4'], 'secret', 'tors', 'BGPPeer rack'],
        ['rack', '2001:db8::/64', 7, 64, ['ipv6'], 'secret', 'tors', 'BGPPeer rack'],
      ],
    );
  });

  it('holds on the nodes that it is for, not while it is shut down, never without its key', () => {
    const none = (spec: BgpPeerSpec, settings: Record<string, string>, change?: Partial<PeerInputs>): void =>
      assert.deepEqual(select([GROUP, peer('rack', spec, { ...RANGE, ...settings })], change).ranges, []);
    none({ node: 'h2' }, {});
    none({ nodeSelector: 'rack == "r2"' }, {});
    none({}, { shutdown: 'true' });
    none({}, {}, { password: () => ({ problem: 'no file' }) });
  });

  it('a prefix is one range only: the first by name holds', () => {
    const again = peer('second', { asNumber: 65009 }, { 'listen-range': '192.0.2.128/25,192.0.2.0/25' });
    const { ranges, findings } = select([GROUP, peer('rack', {}, RANGE), again]);
    assert.deepEqual(
      ranges.map(({ range }) => [range.name, formatPrefix(range.prefix)]),
      [
        ['rack', '192.0.2.128/25'],
        ['rack', '2001:db8::/64'],
        ['second', '192.0.2.0/25'],
      ],
    );
    assert.match(
      findings[0]?.message ?? '',
      /BGPPeer second cannot be used: .*192\.0\.2\.128\/25 is that of group rack/,
    );
  });

  it('says who cannot dial us for the key of a range', () => {
    const plain = peer('plain', { peerIP: '192.0.2.200', asNumber: 65001 });
    const { findings } = select([GROUP, peer('rack', {}, RANGE), plain]);
    assert.deepEqual(
      findings.map(({ code }) => code),
      ['peer-key-of-range'],
    );
    const keyed = peer('keyed', { peerIP: '192.0.2.200' }, { 'peer-group': 'tors' });
    assert.deepEqual(select([GROUP, peer('rack', {}, RANGE), keyed]).findings, []);
  });

  const status = (name: string, dynamic: string | undefined): PeerStatus => {
    const speaker = new Speaker({
      routerId: 1,
      localAs: 65101,
      listen: undefined,
      nextHopTracking: false,
      gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 1 },
      log: () => undefined,
    });
    const { peers } = select([peer('x', { peerIP: name, asNumber: 1 })]);
    speaker.setPeers(peers.map(({ config }) => config));
    const found = speaker.peer(name);
    assert.ok(found && parseAddress(name));
    return { ...found, ...(dynamic !== undefined && { dynamic }) };
  };

  it('peers that came by themselves have their resource, and a preview knows them', () => {
    const present = [status('192.0.2.200', 'rack')];
    const now = select([GROUP, peer('rack', {}, RANGE)]);
    const [first] = present;
    assert.ok(first);
    assert.deepEqual(originsOfPeers(now)(first), { resource: 'BGPPeer rack', group: 'tors' });
    const effects = (then: readonly BgpPeer[]): string[] =>
      sessionEffects(withDynamic(now, present), withDynamic(select(then), present), []).map(
        ({ peer: name, effect, reasons }) => `${name} ${effect} ${reasons.join()}`.trim(),
      );
    assert.deepEqual(effects([GROUP, peer('rack', {}, RANGE)]), []);
    assert.deepEqual(effects([GROUP, peer('rack', {}, { ...RANGE, 'hold-time': '30' })]), [
      '192.0.2.200 reset holdTimeSec',
    ]);
    assert.deepEqual(effects([GROUP, peer('rack', {}, { ...RANGE, 'listen-range': '192.0.2.0/28' })]), [
      '192.0.2.200 removed',
    ]);
    const configured = peer('one', { peerIP: '192.0.2.200' }, { 'peer-group': 'tors' });
    assert.deepEqual(effects([GROUP, peer('rack', {}, RANGE), configured]), [
      '192.0.2.200 reset listen-range',
    ]);
  });
});

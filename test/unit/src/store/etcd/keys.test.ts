import assert from 'node:assert/strict';
import { makeKey } from '../../../../../src/model/types.ts';
import { NotStorable } from '../../../../../src/store/errors.ts';
import { Backoff } from '../../../../../src/store/etcd/backoff.ts';
import { checkEndpoints, type EtcdEndpoints } from '../../../../../src/store/etcd/endpoints.ts';
import {
  ipamKey,
  parseIpamKey,
  parseResourceKey,
  resourceKey,
  WATCHED_RANGE,
} from '../../../../../src/store/etcd/keys.ts';
import { problemOfOtherKind } from '../../../../../src/store/etcd/other-kinds.ts';
import { affinityKey, blockKey, CONFIG_KEY, handleKey } from '../../../../../src/store/ipam-documents.ts';

const RESOURCES = '/calico/resources/v3/projectcalico.org';

describe('etcd keys', () => {
  // As in Calico's libcalico-go/lib/backend/model.
  const resources = [
    [makeKey('IPPool', 'lab4'), `${RESOURCES}/ippools/lab4`],
    [makeKey('BGPFilter', 'f'), `${RESOURCES}/bgpfilters/f`],
    [makeKey('Node', 'h1.example.org'), `${RESOURCES}/nodes/h1.example.org`],
    [makeKey('NetworkPolicy', 'web', 'prod'), `${RESOURCES}/networkpolicies/prod/web`],
    [makeKey('WorkloadEndpoint', 'h1-cni-c1-eth0'), `${RESOURCES}/workloadendpoints/default/h1-cni-c1-eth0`],
  ] as const;
  const documents = [
    [blockKey('10.0.0.0/26'), '/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26'],
    [blockKey('fd00:1::40/122'), '/calico/ipam/v2/assignment/ipv6/block/fd00:1::40-122'],
    [affinityKey('h-1', '10.0.0.0/26'), '/calico/ipam/v2/host/h-1/ipv4/block/10.0.0.0-26'],
    [affinityKey('h-1', 'fd00::/122'), '/calico/ipam/v2/host/h-1/ipv6/block/fd00::-122'],
    [handleKey('k8s-pod-network.0123'), '/calico/ipam/v2/handle/k8s-pod-network.0123'],
    [CONFIG_KEY, '/calico/ipam/v2/config'],
  ] as const;

  for (const [key, text] of resources) {
    it(text, () => {
      assert.equal(resourceKey(key), text);
      assert.deepEqual(parseResourceKey(text), { type: 'resource', key });
    });
  }
  for (const [key, text] of documents) {
    it(text, () => {
      assert.equal(ipamKey(key), text);
      assert.deepEqual(parseIpamKey(text), key);
    });
  }

  it('all lie in the range that is watched, and Calico’s status and legacy keys do not', () => {
    const isWatched = (key: string): boolean => key >= WATCHED_RANGE.first && key < WATCHED_RANGE.end;
    for (const [, text] of [...resources, ...documents]) assert(isWatched(text), text);
    for (const text of [
      '/calico/felix/v2/x/host/h/status',
      '/calico/bgp/v1/global/as_num',
      '/calico/v1/Ready',
    ]) {
      assert(!isWatched(text), text);
    }
  });

  it('strangers are recognised as such', () => {
    const other = { type: 'other-kind', plural: 'tiers', name: 'default' };
    assert.deepEqual(parseResourceKey(`${RESOURCES}/tiers/default`), other);
    assert.equal(parseResourceKey(`${RESOURCES}/ippools/a/b`).type, 'other-kind');
    assert.equal(parseResourceKey(`${RESOURCES}/networkpolicies/a`).type, 'other-kind');
    for (const text of ['/calico/ipam/v2/virtual/x', '/calico/ipam/v2/host/h', '/calico/ipam/v2/handle/']) {
      assert.equal(parseIpamKey(text), undefined);
    }
  });

  it('names that would be another key are refused', () => {
    assert.throws(() => resourceKey(makeKey('IPPool', 'a/b')), NotStorable);
    assert.throws(() => resourceKey(makeKey('IPPool', '')), NotStorable);
    assert.throws(() => ipamKey(handleKey('a/b')), NotStorable);
    assert.throws(() => ipamKey(affinityKey('', '10.0.0.0/26')), NotStorable);
  });

  it('what always stands in a Calico cluster is no problem', () => {
    assert.equal(problemOfOtherKind('clusterinformations', 'default'), undefined);
    assert.equal(problemOfOtherKind('tiers', 'default'), undefined);
    assert.equal(problemOfOtherKind('felixconfigurations', 'node.h2'), undefined);
    assert.match(problemOfOtherKind('felixconfigurations', 'default') ?? '', /no effect/);
    assert.match(problemOfOtherKind('tiers', 'security') ?? '', /no effect/);
  });
});

describe('etcd back-off', () => {
  it('grows to its limit, with jitter, and starts over', () => {
    const [low, high] = [new Backoff(100, 1_000, () => 0), new Backoff(100, 1_000, () => 1)];
    assert.deepEqual(
      Array.from({ length: 6 }, () => low.next()),
      [50, 100, 200, 400, 500, 500],
    );
    assert.deepEqual(
      Array.from({ length: 6 }, () => high.next()),
      [100, 200, 400, 800, 1_000, 1_000],
    );
    high.reset();
    assert.equal(high.next(), 100);
  });
});

describe('etcd endpoints', () => {
  const faults: [string, EtcdEndpoints, RegExp | undefined][] = [
    ['plain', { endpoints: ['http://10.0.0.1:2379', 'http://[fd00::1]:2379'] }, undefined],
    ['TLS by name', { endpoints: ['https://etcd1:2379'], caFile: '/ca' }, undefined],
    ['TLS by address with a name', { endpoints: ['https://10.0.0.1:2379'], serverName: 'etcd' }, undefined],
    ['TLS by IPv6 address without a name', { endpoints: ['https://[fd00::1]:2379'] }, /^serverName: /],
    ['none', { endpoints: [] }, /^endpoints: name/],
    ['no port', { endpoints: ['http://etcd1'] }, /^endpoints: .*http:\/\/HOST:PORT/],
    ['mixed', { endpoints: ['http://a:1', 'https://b:1'] }, /^endpoints: all https or all http/],
    ['half a login', { endpoints: ['http://a:1'], usernameFile: '/u' }, /^usernameFile: /],
    ['half a certificate', { endpoints: ['https://a:1'], keyFile: '/k' }, /^certFile: /],
  ];
  for (const [name, options, expected] of faults) {
    it(name, () => {
      const found = checkEndpoints(options).map(({ path, reason }) => `${path}: ${reason}`);
      if (expected === undefined) assert.deepEqual(found, []);
      else
        assert(
          found.some((text) => expected.test(text)),
          found.join('\n'),
        );
    });
  }
});

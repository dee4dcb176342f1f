import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type EvidenceSources,
  type Holder,
  type KernelEvidence,
  signOfLife,
} from '../../../../../src/agent/ipam/evidence.ts';
import type { HeldAddress } from '../../../../../src/agent/ipam/leaks.ts';
import { API_VERSION, type Kind } from '../../../../../src/model/kinds.ts';
import type { ResourceOfKind } from '../../../../../src/model/types.ts';
import type { WorkloadEndpoint, WorkloadEndpointSpec } from '../../../../../src/model/workload-endpoint.ts';
import { type Address, formatAddress } from '../../../../../src/net/address.ts';
import { address } from '../../../../support/net.ts';

const CONTAINER = '0123456789abcdef';

/** The kernel of a host on which nothing is left, unless said otherwise. */
function kernel(shown: Partial<KernelEvidence> = {}): KernelEvidence {
  return {
    isCurrent: () => true,
    owns: () => false,
    linkOf: () => undefined,
    hasRoute: () => false,
    hasForeignRoute: () => false,
    ...shown,
  };
}

function endpoint(
  spec: Partial<WorkloadEndpointSpec>,
  annotations: Readonly<Record<string, string>> = {},
): WorkloadEndpoint {
  return {
    apiVersion: API_VERSION,
    kind: 'WorkloadEndpoint',
    metadata: { name: 'wep', namespace: 'default', annotations },
    spec: {
      node: 'h1',
      orchestrator: 'ocicat',
      workload: 'w',
      endpoint: 'eth0',
      interfaceName: 'oci1',
      ...spec,
    },
  };
}

function sources(
  endpoints: readonly WorkloadEndpoint[] = [],
  shown: Partial<KernelEvidence> = {},
  holders: readonly Holder[] = [],
): EvidenceSources {
  const list = <K extends Kind>(kind: K): ResourceOfKind<K>[] =>
    endpoints.filter((each): each is ResourceOfKind<K> & WorkloadEndpoint => each.kind === kind);
  return { cache: { list }, kernel: kernel(shown), holders };
}

function held(
  handle: string,
  attributes: Readonly<Record<string, string>> = {},
  at = '10.65.1.7',
): HeldAddress {
  return { address: address(at), handle, sequenceNumber: 1n, attributes };
}

const only =
  (text: string) =>
  (asked: Address): boolean =>
    formatAddress(asked) === text;

describe('signs of life of an address', () => {
  for (const at of ['10.65.1.7', 'fd00:65:1::7']) {
    it(`${at}: none, when store, kernel and runtimes show nothing`, () => {
      for (const one of [
        held('ocicat.default.web', {}, at),
        held(`net1.${CONTAINER}`, {}, at),
        held('anything', { ocicat: 'attachment' }, at),
      ])
        assert.equal(signOfLife(sources(), one), undefined, one.handle);
    });

    const cases: readonly [string, EvidenceSources, RegExp][] = [
      [
        'an endpoint has it',
        sources([endpoint({ ipNetworks: [`${at}/${at.includes(':') ? 128 : 32}`] })]),
        /wep has it/,
      ],
      [
        'an endpoint of any orchestrator on any node has it',
        sources([endpoint({ orchestrator: 'k8s', node: 'h9', ipNetworks: [at] })]),
        /wep has it/,
      ],
      ['it is an address of the host', sources([], { owns: only(at) }), /address of this host/],
      ['we have a route to it', sources([], { hasRoute: only(at) }), /a route to it/],
      ['somebody else has a route to it', sources([], { hasForeignRoute: only(at) }), /somebody else/],
      ['the kernel is not known', sources([], { isCurrent: () => false }), /not known now/],
    ];
    for (const [title, from, reason] of cases) {
      it(`${at}: ${title}`, () => {
        assert.match(signOfLife(from, held('ocicat.default.web', {}, at)) ?? '', reason);
        assert.match(signOfLife(from, held(`net1.${CONTAINER}`, {}, at)) ?? '', reason);
      });
    }
  }

  it('an endpoint of the handle, though its addresses are others by now', () => {
    const others = ['10.65.1.99/32'];
    const byName = sources([endpoint({ ipNetworks: others, workload: 'web' })]);
    assert.match(signOfLife(byName, held('ocicat.default.web')) ?? '', /wep is its holder/);
    assert.equal(signOfLife(byName, held('ocicat.default.web2')), undefined);
    const byAnnotation = sources([
      endpoint({ ipNetworks: others }, { 'ocicat.dev/ipam-handle': `net1.${CONTAINER}` }),
    ]);
    assert.match(signOfLife(byAnnotation, held(`net1.${CONTAINER}`)) ?? '', /wep is its holder/);
  });

  it('an endpoint of the container, whatever its network', () => {
    const from = sources([endpoint({ orchestrator: 'k8s', containerID: CONTAINER })]);
    assert.match(signOfLife(from, held(`k8s-pod-network.${CONTAINER}`)) ?? '', /of its container/);
    assert.equal(signOfLife(from, held('k8s-pod-network.ffffffffffffffff')), undefined);
  });

  it("its link: by the endpoint's id, which only our own handles tell", () => {
    const asked: string[] = [];
    const from = sources([], {
      linkOf: (id) => {
        asked.push(id);
        return id === 'default.web' ? 'oci42' : undefined;
      },
    });
    assert.match(signOfLife(from, held('ocicat.default.web')) ?? '', /its link oci42 is there/);
    assert.equal(signOfLife(from, held(`net1.${CONTAINER}`)), undefined);
    assert.deepEqual(asked, ['default.web']);
  });

  it('a runtime that knows the handle; the first reason counts', () => {
    const holders: Holder[] = [
      () => undefined,
      (handle) => (handle === 'ocicat.default.web' ? 'Docker holds it' : undefined),
      () => 'asked too late',
    ];
    assert.equal(signOfLife(sources([], {}, holders), held('ocicat.default.web')), 'Docker holds it');
    assert.equal(signOfLife(sources([], {}, holders.slice(0, 2)), held('ocicat.default.db')), undefined);
  });

  it('what cannot be told counts as a sign of life: no holder, the host itself, handles of unknown makers', () => {
    assert.match(signOfLife(sources(), held('')) ?? '', /nobody is recorded/);
    for (const type of ['vxlanTunnelAddress', 'ipipTunnelAddress', 'anything-new'])
      assert.match(signOfLife(sources(), held(`net1.${CONTAINER}`, { type })) ?? '', /belongs to the host/);
    for (const handle of [
      'libnetwork.address.1b4e28ba',
      'windows-reserved-ipam-handle',
      'net1.short',
      'ocicat.web',
    ])
      assert.match(signOfLife(sources(), held(handle)) ?? '', /not known what would show/, handle);
  });

  it('any one sign is enough, and without any there is none', () => {
    const bit = fc.boolean();
    fc.assert(
      fc.property(bit, bit, bit, bit, bit, bit, (current, owns, link, route, foreign, holder) => {
        const from = sources(
          [],
          {
            isCurrent: () => current,
            owns: () => owns,
            linkOf: () => (link ? 'oci1' : undefined),
            hasRoute: () => route,
            hasForeignRoute: () => foreign,
          },
          [() => (holder ? 'it runs' : undefined)],
        );
        const isAlive = !current || owns || link || route || foreign || holder;
        assert.equal(signOfLife(from, held('ocicat.default.web')) !== undefined, isAlive);
      }),
    );
  });
});

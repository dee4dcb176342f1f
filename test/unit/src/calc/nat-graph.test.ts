import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { NatChange, PublishedPort } from '../../../../fib/rules/types.ts';
import { NatGraph } from '../../../../src/calc/nat-graph.ts';
import { API_VERSION } from '../../../../src/model/kinds.ts';
import type { Resource } from '../../../../src/model/types.ts';
import { keyOf } from '../../../../src/model/types.ts';
import type { WorkloadEndpoint, WorkloadPort } from '../../../../src/model/workload-endpoint.ts';

interface EndpointParts {
  readonly node?: string;
  readonly ips?: readonly string[];
  readonly created?: string;
  readonly interface?: string;
}

function endpoint(name: string, ports: readonly WorkloadPort[], parts: EndpointParts = {}): WorkloadEndpoint {
  const { node = 'h1', ips = ['10.0.0.1/32', 'fd00::1/128'], created } = parts;
  const ifname = parts.interface ?? 'eth0';
  return {
    apiVersion: API_VERSION,
    kind: 'WorkloadEndpoint',
    metadata: {
      name: `${node}-ocicat-${name}-${ifname}`,
      namespace: 'default',
      ...(created === undefined ? {} : { creationTimestamp: created }),
    },
    spec: {
      node,
      orchestrator: 'ocicat',
      workload: name,
      endpoint: ifname,
      interfaceName: `oci${name}${ifname}`.slice(0, 15),
      ipNetworks: [...ips],
      ports: [...ports],
    },
  };
}

function pool(name: string, cidr: string, natOutgoing?: boolean): Resource {
  return {
    apiVersion: API_VERSION,
    kind: 'IPPool',
    metadata: { name },
    spec: { cidr, ...(natOutgoing === undefined ? {} : { natOutgoing }) },
  };
}

const tcp = (hostPort: number, port: number, hostIP?: string): WorkloadPort => ({
  protocol: 'TCP',
  hostPort,
  port,
  ...(hostIP === undefined ? {} : { hostIP }),
});

const id = (name: string, ifname = 'eth0'): string => `wep/default/h1-ocicat-${name}-${ifname}`;

/** What the data plane holds after all changes. */
class Dataplane {
  readonly ports = new Map<string, readonly PublishedPort[]>();
  pools: NatChange | undefined;

  take(changes: readonly NatChange[]): this {
    for (const change of changes) {
      if (change.kind === 'nat-pools') this.pools = change;
      else if (change.kind === 'published-upsert') this.ports.set(change.id, change.ports);
      else assert.ok(this.ports.delete(change.id), `${change.id} is removed but was never there`);
    }
    return this;
  }
}

describe('nat graph: pools', () => {
  it('all pools are destinations, those with natOutgoing sources; only changes are told', () => {
    const graph = new NatGraph('h1');
    assert.deepEqual(graph.flush(), [], 'without pools there is nothing to tell');
    graph.upsert(pool('b', '10.2.0.0/16'));
    graph.upsert(pool('a', '10.1.0.0/16', true));
    graph.upsert(pool('six', 'fd00::/48', true));
    assert.deepEqual(graph.flush(), [
      {
        kind: 'nat-pools',
        masquerade: ['10.1.0.0/16', 'fd00::/48'],
        all: ['10.1.0.0/16', '10.2.0.0/16', 'fd00::/48'],
      },
    ]);
    graph.upsert(pool('b', '10.2.0.0/16', false));
    assert.deepEqual(graph.flush(), []);
    graph.remove(keyOf(pool('a', '10.1.0.0/16')));
    assert.deepEqual(graph.flush(), [
      { kind: 'nat-pools', masquerade: ['fd00::/48'], all: ['10.2.0.0/16', 'fd00::/48'] },
    ]);
  });
});

describe('nat graph: published ports', () => {
  it('one mapping for each family of the endpoint; wildcards and addresses of the host restrict', () => {
    const graph = new NatGraph('h1');
    graph.upsert(
      endpoint('c1', [
        tcp(8080, 80),
        tcp(8081, 81, '0.0.0.0'),
        tcp(8082, 82, '::'),
        { protocol: 'UDP', hostPort: 53, port: 5353, hostIP: '192.0.2.2' },
        { protocol: 'TCP', name: 'web', port: 80 },
        { protocol: 'TCP', name: 'zero', port: 80, hostPort: 0 },
      ]),
    );
    const base = { protocol: 6, address: '10.0.0.1' };
    assert.deepEqual(graph.flush(), [
      {
        kind: 'published-upsert',
        id: id('c1'),
        ports: [
          { family: 'ipv4', ...base, hostPort: 8080, port: 80 },
          { family: 'ipv6', ...base, address: 'fd00::1', hostPort: 8080, port: 80 },
          { family: 'ipv4', ...base, hostPort: 8081, port: 81 },
          { family: 'ipv6', ...base, address: 'fd00::1', hostPort: 8082, port: 82 },
          { family: 'ipv4', ...base, protocol: 17, hostPort: 53, hostAddress: '192.0.2.2', port: 5353 },
        ],
      },
    ]);
    assert.deepEqual(graph.problems(), []);
    graph.upsert(endpoint('other', [tcp(8080, 80)], { node: 'h2' }));
    assert.deepEqual(graph.flush(), [], 'endpoints of other nodes are theirs');
    graph.remove(keyOf(endpoint('c1', [])));
    assert.deepEqual(graph.flush(), [{ kind: 'published-remove', id: id('c1') }]);
  });

  it('names what cannot be published', () => {
    const graph = new NatGraph('h1');
    graph.upsert(endpoint('c1', [tcp(8080, 80, '2001:db8::1'), tcp(1, 1)], { ips: ['10.0.0.1'] }));
    graph.upsert(endpoint('c2', [tcp(8080, 80, '::1')]));
    assert.deepEqual(
      graph.problems().map(({ endpoint: each }) => each),
      [id('c1'), id('c2')],
    );
    assert.match(graph.problems(id('c1'))[0]?.reason ?? '', /8080\/tcp .* on 2001:db8::1.* no IPv6 address/);
    assert.match(graph.problems(id('c2'))[0]?.reason ?? '', /::1/);
    assert.equal(new Dataplane().take(graph.flush()).ports.get(id('c1'))?.length, 1, 'the rest is published');
  });

  it('the second gets nothing, is told who holds the port, and inherits it', () => {
    const graph = new NatGraph('h1');
    const plane = new Dataplane();
    graph.upsert(endpoint('first', [tcp(80, 8000)], { ips: ['10.0.0.1'] }));
    graph.upsert(endpoint('second', [tcp(80, 9000, '192.0.2.2'), tcp(81, 9001)], { ips: ['10.0.0.2'] }));
    plane.take(graph.flush());
    assert.deepEqual(
      plane.ports.get(id('second'))?.map(({ hostPort }) => hostPort),
      [81],
    );
    assert.deepEqual(graph.problems(), [
      { endpoint: id('second'), reason: 'port 80/tcp of this host is held by endpoint default/first' },
    ]);
    // Changed or not, the holder keeps it.
    graph.upsert(endpoint('first', [tcp(80, 8001)], { ips: ['10.0.0.1'] }));
    plane.take(graph.flush());
    assert.equal(plane.ports.get(id('first'))?.[0]?.port, 8001);
    assert.equal(graph.problems().length, 1);
    graph.remove(keyOf(endpoint('first', [])));
    plane.take(graph.flush());
    assert.deepEqual(
      plane.ports.get(id('second'))?.map(({ hostPort }) => hostPort),
      [80, 81],
    );
    assert.deepEqual(graph.problems(), []);
  });

  it('different addresses of the host, protocols and families do not conflict', () => {
    const graph = new NatGraph('h1');
    graph.upsert(endpoint('a', [tcp(80, 1, '192.0.2.2')], { ips: ['10.0.0.1'] }));
    graph.upsert(endpoint('b', [tcp(80, 1, '192.0.2.3')], { ips: ['10.0.0.2'] }));
    graph.upsert(endpoint('c', [{ protocol: 'UDP', hostPort: 80, port: 1 }], { ips: ['10.0.0.3'] }));
    graph.upsert(endpoint('d', [tcp(80, 1, '::')], { ips: ['fd00::4'] }));
    assert.deepEqual(graph.problems(), []);
    assert.equal(new Dataplane().take(graph.flush()).ports.size, 4);
  });

  it('a request is refused before anything is done, but not for a container that holds the port itself', () => {
    const graph = new NatGraph('h1');
    graph.upsert(endpoint('a', [tcp(80, 1, '192.0.2.2')]));
    assert.match(
      graph.conflict('default/b', [tcp(80, 7)]) ?? '',
      /held by endpoint default\/a on 192\.0\.2\.2/,
    );
    assert.equal(graph.conflict('default/b', [tcp(80, 7, '192.0.2.3')]), undefined);
    assert.equal(graph.conflict('default/a', [tcp(80, 7)]), undefined);
    assert.match(graph.conflict('default/b', [tcp(81, 1), tcp(81, 2)]) ?? '', /81\/tcp.*default\/b/);
    assert.equal(graph.conflict('default/b', [tcp(81, 1), tcp(81, 1)]), undefined);
  });

  it('two interfaces of one container may ask for the same port: the first has it, nobody complains', () => {
    const graph = new NatGraph('h1');
    graph.upsert(endpoint('c', [tcp(80, 1)], { ips: ['10.0.0.1'] }));
    graph.upsert(endpoint('c', [tcp(80, 1)], { ips: ['10.0.0.2'], interface: 'eth1' }));
    assert.deepEqual(graph.problems(), []);
    assert.deepEqual([...new Dataplane().take(graph.flush()).ports.keys()], [id('c')]);
  });

  it('whatever the order of changes, the outcome is that of the final state, and no port leads to two', () => {
    const names = fc.constantFrom('a', 'b', 'c', 'd');
    const port = fc
      .tuple(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 2 }),
        fc.constantFrom(undefined, '192.0.2.2', '192.0.2.3', '::'),
      )
      .map(([hostPort, to, hostIP]) => tcp(hostPort, to, hostIP));
    const step = fc.tuple(names, fc.option(fc.array(port, { maxLength: 3 }), { nil: undefined }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const graph = new NatGraph('h1');
        const plane = new Dataplane();
        const state = new Map<string, WorkloadEndpoint>();
        for (const [name, ports] of steps) {
          // The creation time decides, so that the order of arrival does not.
          const resource = endpoint(name, ports ?? [], {
            created: `2026-01-01T00:00:0${name.charCodeAt(0) - 97}Z`,
          });
          if (ports === undefined) {
            graph.remove(keyOf(resource));
            state.delete(name);
          } else {
            graph.upsert(resource);
            state.set(name, resource);
          }
          plane.take(graph.flush());
        }
        const fresh = new NatGraph('h1');
        for (const resource of state.values()) fresh.upsert(resource);
        const expected = new Dataplane().take(fresh.flush());
        const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
        assert.deepEqual(sorted(plane.ports), sorted(expected.ports));
        const byText = (a: { endpoint: string }, b: { endpoint: string }) =>
          a.endpoint < b.endpoint ? -1 : 1;
        assert.deepEqual(graph.problems().sort(byText), fresh.problems().sort(byText));

        const taken = [...plane.ports.values()].flat();
        for (const [index, one] of taken.entries()) {
          for (const two of taken.slice(0, index)) {
            const sameDoor = one.family === two.family && one.hostPort === two.hostPort;
            const overlap =
              one.hostAddress === undefined ||
              two.hostAddress === undefined ||
              one.hostAddress === two.hostAddress;
            assert.ok(!(sameDoor && overlap), JSON.stringify([one, two]));
          }
        }
      }),
    );
  });
});

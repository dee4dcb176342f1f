import assert from 'node:assert/strict';
import { localEndpoint } from '../../../../src/agent/endpoints/resource.ts';
import {
  labelsOf,
  makeEndpoint,
  portFreeAmong,
  publishedPorts,
  workloadName,
} from '../../../../src/docker/endpoint-resource.ts';
import { readPortMap } from '../../../../src/docker/messages.ts';
import { readResource } from '../../../../src/model/registry.ts';
import { parseAddress } from '../../../../src/net/address.ts';

const NETWORK = {
  id: 'n'.repeat(64),
  name: 'front',
  labels: { env: 'prod' },
  options: { 'label.tier': 'web' },
};
const CONTAINER = { id: 'c'.repeat(64), name: 'Web_1', labels: { role: 'db', env: 'test' } };

function endpoint(ports: ReturnType<typeof publishedPorts> = []) {
  const addresses = ['10.65.1.2', 'fd00::2'].flatMap((text) => parseAddress(text) ?? []);
  const id = 'e'.repeat(64);
  return { id, networkId: NETWORK.id, addresses, sandbox: '/run/docker/netns/abc', ports };
}

describe("Docker's endpoints as resources", () => {
  it('are valid, under the name that Calico gives them', () => {
    for (const container of [undefined, CONTAINER]) {
      const resource = makeEndpoint('h-1', endpoint(), NETWORK, container);
      const checked = readResource(resource);
      assert.ok(checked.ok, JSON.stringify(checked));
      assert.equal(resource.metadata.name, `h--1-libnetwork-libnetwork-${'e'.repeat(64)}`);
    }
  });

  it('are held without profiles until their container is known, then open', () => {
    const held = makeEndpoint('h1', endpoint(), NETWORK, undefined);
    assert.deepEqual(held.spec.profiles, []);
    assert.equal(localEndpoint(held, 'h1')?.isHeld, true);
    assert.deepEqual(held.metadata.labels, { tier: 'web', env: 'prod', 'ocicat.dev/network': 'front' });
    const open = makeEndpoint('h1', endpoint(), NETWORK, CONTAINER);
    assert.deepEqual(open.spec.profiles, ['projectcalico-default-allow']);
    const local = localEndpoint(open, 'h1');
    assert.equal(local?.isHeld, false);
    assert.equal(local.isHanded, true);
    assert.equal(local.id, localEndpoint(held, 'h1')?.id);
    assert.equal(open.spec.interfaceName, held.spec.interfaceName);
    assert.equal(open.spec.mac, held.spec.mac);
  });

  it("have the container's labels over the network's, and none that Calico cannot have", () => {
    const odd = {
      'com.docker.compose.project.working_dir': '/srv/app',
      '-bad': 'x',
      'projectcalico.org/namespace': 'forged',
      long: 'x'.repeat(64),
    };
    assert.deepEqual(labelsOf(NETWORK, { ...CONTAINER, labels: { ...CONTAINER.labels, ...odd } }), {
      tier: 'web',
      env: 'test',
      role: 'db',
      'ocicat.dev/network': 'front',
      'ocicat.dev/container': 'Web_1',
    });
  });

  it('have names that resources can have', () => {
    const names: [string, string][] = [
      ['Web_1', 'web-1'],
      ['a__b', 'a-b'],
      ['x-.y_', 'x.y'],
      ['_', ''],
    ];
    for (const [given, expected] of names) assert.equal(workloadName(given), expected);
  });
});

describe('published ports of Docker', () => {
  const binding = (rest: object) =>
    readPortMap({
      'com.docker.network.portmap': [{ Proto: 6, Port: 80, HostIP: '', HostPort: 8080, ...rest }],
    });
  const free = () => true;

  it('become ports of the endpoint', () => {
    assert.deepEqual(publishedPorts(binding({}), free), [{ protocol: 'TCP', port: 80, hostPort: 8080 }]);
    assert.deepEqual(publishedPorts(binding({ Proto: 17, HostIP: '127.0.0.1' }), free), [
      { protocol: 'UDP', port: 80, hostPort: 8080, hostIP: '127.0.0.1' },
    ]);
    assert.equal(publishedPorts(binding({ HostIP: '0.0.0.0' }), free)[0]?.hostIP, '0.0.0.0');
    assert.deepEqual(readPortMap({}), []);
  });

  it('take the first free one of a range, and say when there is none', () => {
    const range = binding({ HostPortEnd: 8082 });
    const ports = publishedPorts(range, (_, hostPort) => hostPort === 8082);
    assert.equal(ports[0]?.hostPort, 8082);
    assert.throws(() => publishedPorts(range, () => false), /80\/tcp: port 8080-8082 of the host is taken/);
  });

  it('must be named', () => {
    assert.throws(() => publishedPorts(binding({ HostPort: 0 }), free), /-p 8080:80\/tcp/);
  });

  it('collide with those of other endpoints of this node on the same address', () => {
    const ports = publishedPorts(binding({ HostIP: '192.0.2.1' }), free);
    const other = makeEndpoint('h1', endpoint(ports), NETWORK, CONTAINER);
    const isFree = portFreeAmong([other], 'h1', 'me');
    assert.equal(isFree('TCP', 8080, '192.0.2.1'), false);
    assert.equal(isFree('TCP', 8080, ''), false);
    assert.equal(isFree('TCP', 8080, '0.0.0.0'), false);
    assert.equal(isFree('TCP', 8080, '::'), true);
    assert.equal(isFree('TCP', 8080, '192.0.2.9'), true);
    assert.equal(isFree('UDP', 8080, ''), true);
    assert.equal(portFreeAmong([other], 'h2', 'me')('TCP', 8080, ''), true);
    assert.equal(portFreeAmong([other], 'h1', other.metadata.name)('TCP', 8080, ''), true);
  });
});

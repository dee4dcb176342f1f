import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AttachmentCall, readCall, versionOf } from '../../../../src/cni/call.ts';
import { CniError } from '../../../../src/cni/error.ts';
import { handleOf, idOf, orderOf } from '../../../../src/cni/order.ts';
import { CNI_VERSIONS } from '../../../../src/cni/version.ts';
import { formatAddress } from '../../../../src/net/address.ts';

type Keys = Readonly<Record<string, unknown>>;

const ENVIRONMENT = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
};
const CONFIG = { cniVersion: '1.0.0', name: 'net1', type: 'ocicat-cni' };

function call(config: Keys = {}, environment: Readonly<Record<string, string>> = {}) {
  return readCall({ environment: { ...ENVIRONMENT, ...environment }, config: { ...CONFIG, ...config } });
}

function add(config: Keys = {}, environment: Readonly<Record<string, string>> = {}): AttachmentCall {
  const read = call(config, environment);
  assert.ok(read.command === 'ADD');
  return read;
}

function refuses(action: () => unknown, code: number, message: RegExp): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof CniError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

const pool = (name: string, cidr: string) => ({
  apiVersion: 'projectcalico.org/v3' as const,
  kind: 'IPPool' as const,
  metadata: { name },
  spec: { cidr },
});
const POOLS = [pool('four', '10.0.0.0/24'), pool('six', 'fd00::/112')];

describe('CNI calls', () => {
  it('are read with what the specification demands', () => {
    const read = add({}, { CNI_ARGS: 'A=1;B=x=y;;IgnoreUnknown=1' });
    assert.deepEqual(read.attachment, { network: 'net1', containerId: 'c1', ifname: 'eth0' });
    assert.deepEqual(
      [...read.args],
      [
        ['A', '1'],
        ['B', 'x=y'],
        ['IgnoreUnknown', '1'],
      ],
    );
  });

  it('are refused with the code of the specification', () => {
    refuses(() => call({}, { CNI_COMMAND: '' }), 4, /CNI_COMMAND/);
    refuses(() => call({}, { CNI_CONTAINERID: '-x' }), 4, /CNI_CONTAINERID "-x"/);
    refuses(() => call({}, { CNI_IFNAME: 'lo' }), 4, /CNI_IFNAME/);
    refuses(() => call({}, { CNI_IFNAME: 'sixteencharacter' }), 4, /CNI_IFNAME/);
    refuses(() => call({}, { CNI_NETNS: '' }), 4, /CNI_NETNS/);
    refuses(() => call({ name: 'a/b' }), 7, /name "a\/b"/);
    refuses(() => call({ cniVersion: '0.9.9' }), 1, /0\.9\.9/);
    refuses(() => call({ cniVersion: 7 }), 1, /7/);
    refuses(() => call({ nonsense: 1 }), 2, /nonsense: 1/);
    refuses(() => call({ ipMasq: true }), 2, /ipMasq: true/);
    refuses(() => call({ ipam: { type: 'x' } }), 2, /ipam\.type: "x"/);
    refuses(() => call({ mtu: '1500' }), 7, /mtu/);
    refuses(() => readCall({ environment: 5 }), 6, /does not understand/);
    refuses(() => call({ cniVersion: '0.3.1' }, { CNI_COMMAND: 'CHECK' }), 1, /0\.4\.0/);
    refuses(() => call({ cniVersion: '1.0.0' }, { CNI_COMMAND: 'GC' }), 1, /1\.1\.0/);
  });

  it('a DEL looks past what it does not need', () => {
    const read = call(
      { nonsense: 1, mtu: 'x', runtimeConfig: { portMappings: 'x' } },
      { CNI_COMMAND: 'DEL', CNI_NETNS: '', CNI_ARGS: 'broken' },
    );
    assert.equal(read.command, 'DEL');
  });

  it('protocol keys are no unknown keys', () => {
    add({
      cniVersions: ['1.0.0'],
      capabilities: { portMappings: true },
      runtimeConfig: { unheardOf: 1 },
      args: { other: 1 },
      dns: {},
      disableCheck: true,
      'cni.dev/anything': 1,
    });
  });

  it('GC knows both names of its list, and the absence of both', () => {
    const gc = (keys: Keys) =>
      call({ cniVersion: '1.1.0', ...keys }, { CNI_COMMAND: 'GC' }).config.validAttachments;
    const list = [{ containerID: 'a', ifname: 'eth0' }];
    assert.equal(gc({}), undefined);
    assert.deepEqual(gc({ 'cni.dev/attachments': list }), list);
    assert.deepEqual(gc({ 'cni.dev/valid-attachments': [], 'cni.dev/attachments': list }), []);
    refuses(() => gc({ 'cni.dev/valid-attachments': 'x' }), 7, /valid-attachments/);
  });

  it('the version of an answer is the one asked for, or the newest', () => {
    for (const version of CNI_VERSIONS)
      assert.equal(versionOf({ environment: {}, config: { cniVersion: version } }), version);
    assert.equal(versionOf({ environment: {}, config: { cniVersion: '9' } }), '1.1.0');
    assert.equal(versionOf(undefined), '1.1.0');
  });

  it('any body is read or refused with a code', () => {
    fc.assert(
      fc.property(fc.anything(), fc.dictionary(fc.string(), fc.jsonValue()), (body, config) => {
        for (const each of [body, { environment: ENVIRONMENT, config: { ...config, ...CONFIG } }]) {
          try {
            readCall(each);
          } catch (error) {
            assert.ok(error instanceof CniError, String(error));
          }
        }
      }),
    );
  });
});

describe('orders of CNI calls', () => {
  it('ids are as different as the three values they are made of', () => {
    const text = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,8}$/);
    const attachment = fc.record({
      network: text,
      containerId: text,
      ifname: fc.constantFrom('eth0', 'eth1', 'a.b'),
    });
    fc.assert(
      fc.property(attachment, attachment, (a, b) => {
        const same = a.network === b.network && a.containerId === b.containerId && a.ifname === b.ifname;
        assert.equal(idOf(a) === idOf(b), same);
        assert.equal(handleOf(a) === handleOf(b), same);
      }),
    );
  });

  it("the handle is Calico's", () => {
    assert.equal(handleOf({ network: 'net1', containerId: 'abc', ifname: 'eth0' }), 'net1.abc');
  });

  it('capability keys are matched without case; unset values ask for nothing', () => {
    const order = orderOf(
      add({
        runtimeConfig: {
          PortMappings: [
            { HostPort: 8080, ContainerPort: 80, Protocol: '', HostIP: '' },
            { hostPort: 0, containerPort: 81 },
            { hostport: 53, containerport: 53, protocol: 'UDP', hostip: '192.0.2.1' },
          ],
          MAC: '',
          IPs: ['10.0.0.9/24'],
          Bandwidth: { IngressRate: 0, EgressRate: 1000, EgressBurst: 4294967295 },
          'io.kubernetes.cri.pod-annotations': null,
        },
      }),
      POOLS,
    );
    assert.deepEqual(order.ports, [
      { protocol: 'TCP', port: 80, hostPort: 8080 },
      { protocol: 'UDP', port: 53, hostPort: 53, hostIP: '192.0.2.1' },
    ]);
    assert.equal(order.mac, undefined);
    assert.deepEqual(order.addresses.map(formatAddress), ['10.0.0.9']);
    assert.deepEqual(order.bandwidth, { egress: { rateBits: 1000, burstBits: 0 } });
  });

  it('addresses come from capabilities, arguments and annotations, one a family', () => {
    const both = orderOf(
      add({ runtimeConfig: { ips: ['10.0.0.9'] } }, { CNI_ARGS: 'IP=10.0.0.9,fd00::9' }),
      POOLS,
    );
    assert.deepEqual(both.addresses.map(formatAddress), ['10.0.0.9', 'fd00::9']);
    refuses(
      () => orderOf(add({ runtimeConfig: { ips: ['10.0.0.9', '10.0.0.8'] } }), POOLS),
      7,
      /at most one/,
    );
    refuses(() => orderOf(add({}, { CNI_ARGS: 'IP=nonsense' }), POOLS), 7, /no address/);
  });

  it('pools by name or CIDR; naming some of a family leaves the other out unless asked for', () => {
    const choice = (ipam: Keys) => {
      const { families, pools } = orderOf(add({ ipam }), POOLS);
      return { families, pools };
    };
    assert.deepEqual(choice({}), { families: undefined, pools: undefined });
    assert.deepEqual(choice({ ipv4_pools: ['10.0.0.0/24'] }), {
      families: ['ipv4'],
      pools: { ipv4: ['four'] },
    });
    assert.deepEqual(choice({ ipv4_pools: ['four'], assign_ipv6: 'true' }), {
      families: ['ipv4', 'ipv6'],
      pools: { ipv4: ['four'] },
    });
    assert.deepEqual(choice({ assign_ipv6: false }), { families: ['ipv4'], pools: undefined });
    refuses(() => choice({ assign_ipv4: 'false', assign_ipv6: 'false' }), 7, /no address family/);
    const annotations = {
      'io.kubernetes.cri.pod-annotations': { 'cni.projectcalico.org/ipv6pools': '["six"]' },
    };
    assert.deepEqual(orderOf(add({ runtimeConfig: annotations, ipam: { ipv6_pools: ['x'] } }), POOLS).pools, {
      ipv6: ['six'],
    });
  });

  it('namespace, pod and labels as Calico has them; odd names are kept by their hash', () => {
    const order = orderOf(add({}, { CNI_ARGS: 'K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=shop' }), POOLS);
    assert.deepEqual(
      [order.namespace, order.name, order.pod, order.containerId, order.orchestrator],
      ['shop', 'web-0', 'web-0', 'c1', 'cni'],
    );
    const odd = orderOf(add({}, { CNI_CONTAINERID: 'Odd_ID', CNI_ARGS: 'K8S_POD_NAME=Odd_Name' }), POOLS);
    assert.equal(odd.pod, undefined);
    assert.match(odd.name, /^id-[0-9a-f]{40}$/);
    assert.equal(odd.labels?.['ocicat.dev/pod'], 'Odd_Name');
    assert.equal(odd.annotations?.['ocicat.dev/container-id'], 'Odd_ID');
    refuses(() => orderOf(add({ labels: { 'bad key': 'x' } }), POOLS), 7, /label bad key=x/);
  });
});

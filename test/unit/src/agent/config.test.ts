import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, readConfig } from '../../../../src/agent/config.ts';
import { formatAddress } from '../../../../src/net/address.ts';

describe('src/agent/config', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'ocicat-config-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const read = (text: string, environment: Record<string, string> = {}): ReturnType<typeof readConfig> => {
    const file = join(folder, 'agent.yaml');
    writeFileSync(file, text);
    return readConfig(file, environment);
  };

  it('has defaults for everything but the name', () => {
    assert.deepEqual(read('nodeName: h1\n'), {
      nodeName: 'h1',
      store: { kind: 'file', path: '/var/lib/ocicat/store' },
      socket: '/run/ocicat/api.sock',
      docker: {
        plugin: 'auto',
        pluginSocket: '/run/docker/plugins/ocicat.sock',
        apiSocket: '/run/docker.sock',
      },
      ipam: { leakGraceSec: 900 },
      routes: {},
      log: { level: 'info', format: 'json' },
    });
  });

  it('lets a variable win over the file', () => {
    assert.equal(read('nodeName: h1\nlog: {level: debug}\n', { OCICAT_LOG_LEVEL: 'warn' }).log.level, 'warn');
  });

  it('takes a grace time for addresses that nothing uses', () => {
    assert.equal(read('nodeName: h1\nipam: {leakGraceSec: 60}\n').ipam.leakGraceSec, 60);
  });

  it('takes the marks of our routes, and the sources of packets over learned ones', () => {
    const text =
      'routes: {protocol: 172, metric: 77, table: 1007, sourceIPv4: 192.0.2.77, sourceIPv6: "2001:db8::77", suppressFibPending: false}\n';
    const { sourceIPv4, sourceIPv6, ...rest } = read(`nodeName: h1\n${text}`).routes;
    assert.deepEqual(rest, { protocol: 172, metric: 77, table: 1007, suppressFibPending: false });
    assert.ok(sourceIPv4 && sourceIPv6);
    assert.deepEqual([formatAddress(sourceIPv4), formatAddress(sourceIPv6)], ['192.0.2.77', '2001:db8::77']);
  });

  it('takes empty sections for absent ones', () => {
    assert.deepEqual(read('nodeName: h1\nlog:\ndocker: {}\nstore:\n'), read('nodeName: h1\n'));
  });

  it('says everything that is wrong at once', () => {
    assert.throws(() => read('socket: x\nlog: {level: loud}\n'), /socket: [^\n]*\n.*log\.level: /);
  });

  it('does without the default file, not without a named one', () => {
    assert.throws(() => readConfig(join(folder, 'absent.yaml'), {}), ConfigError);
  });

  it('reads an etcd from the file, and from variables', () => {
    const expected = {
      kind: 'etcd',
      path: '/var/lib/ocicat/etcd',
      etcd: { endpoints: ['http://a:2379', 'http://b:2379'], usernameFile: '/u', passwordFile: '/p' },
    };
    const text =
      'store: {kind: etcd, endpoints: ["http://a:2379", "http://b:2379"], usernameFile: /u, passwordFile: /p}\n';
    assert.deepEqual(read(text, {}).store, expected);
    const variables = {
      OCICAT_STORE: 'etcd',
      OCICAT_ETCD_ENDPOINTS: 'http://a:2379, http://b:2379',
      OCICAT_ETCD_USERNAME_FILE: '/u',
      OCICAT_ETCD_PASSWORD_FILE: '/p',
    };
    assert.deepEqual(read('', variables).store, expected);
  });

  const faults: [string, string, Record<string, string>, RegExp][] = [
    ['an unknown key', 'nodename: h1\n', {}, /agent\.yaml: nodename: unknown field; did you mean "nodeName"/],
    ['a bad level', 'log: {level: loud}\n', {}, /agent\.yaml: log\.level: must be one of/],
    ['a bad variable value', '', { OCICAT_LOG_LEVEL: 'loud' }, /OCICAT_LOG_LEVEL: must be one of/],
    ['an unknown variable', '', { OCICAT_LOGLEVEL: 'info' }, /unknown variable OCICAT_LOGLEVEL/],
    ['a bad Docker mode', 'docker: {plugin: yes}\n', {}, /docker\.plugin: must be one of auto, on, off/],
    ['a relative socket', 'socket: api.sock\n', {}, /socket: must be an absolute path/],
    ['a grace time that is too short', 'ipam: {leakGraceSec: 59}\n', {}, /ipam\.leakGraceSec: .*60 to 86400/],
    [
      "another daemon's protocol number",
      'routes: {protocol: 186}\n',
      {},
      /routes\.protocol: .*none of 11, 12, 80, 186/,
    ],
    ['a metric that is none', 'routes: {metric: 0}\n', {}, /routes\.metric: .*from 1 to/],
    ["the kernel's own table", 'routes: {table: 255}\n', {}, /routes\.table: .*not 255 \(local\)/],
    ['a table by name', 'routes: {table: main}\n', {}, /routes\.table: must be the number of/],
    [
      'a source of the other family',
      'routes: {sourceIPv4: "::1"}\n',
      {},
      /routes\.sourceIPv4: .*IPv4 address/,
    ],
    ['a grace time in words', 'ipam: {leakGraceSec: 15m}\n', {}, /ipam\.leakGraceSec: .*whole number/],
    ['a grace time in parts', 'ipam: {leakGraceSec: 90.5}\n', {}, /ipam\.leakGraceSec: .*whole number/],
    ['broken YAML', 'nodeName: [\n', {}, /agent\.yaml:\d+: /],
    ['a section that is none', 'log: debug\n', {}, /log: expected a map, found "debug"/],
    [
      'a socket path beyond what the kernel takes',
      `socket: /${'x'.repeat(107)}\n`,
      {},
      /socket: .*at most 107/,
    ],
    ['a node name that is too long', `nodeName: ${'x'.repeat(254)}\n`, {}, /nodeName: .*at most 253/],
    ['endpoints that are no texts', 'store: {kind: etcd, endpoints: [1]}\n', {}, /endpoints: must be a list/],
    ['a list', '- 1\n', {}, /must hold a mapping/],
    ['a bad node name', 'nodeName: Host_1\n', {}, /nodeName: must be lower-case/],
    ['a store that is none', 'store: {kind: zookeeper}\n', {}, /store\.kind: must be file .* or etcd/],
    ['etcd without endpoints', 'store: {kind: etcd}\n', {}, /store\.endpoints: must be a list/],
    [
      'etcd settings of the embedded store',
      'store: {endpoints: [x]}\n',
      {},
      /store\.endpoints: unknown field/,
    ],
    [
      'an endpoint that is none',
      '',
      { OCICAT_STORE: 'etcd', OCICAT_ETCD_ENDPOINTS: 'etcd1' },
      /OCICAT_ETCD_ENDPOINTS: "etcd1" must be http:/,
    ],
    [
      'TLS to an address without a name to expect',
      'store: {kind: etcd, endpoints: ["https://192.0.2.1:2379"]}\n',
      {},
      /store\.serverName: .*DNS name/,
    ],
    [
      'a certificate without its key',
      'store: {kind: etcd, endpoints: ["https://a:1"], certFile: /c.pem}\n',
      {},
      /store\.certFile: .*belong together/,
    ],
    [
      'a certificate without TLS',
      'store: {kind: etcd, endpoints: ["http://a:1"], caFile: /c.pem}\n',
      {},
      /store\.caFile: needs https/,
    ],
  ];
  for (const [name, text, environment, message] of faults) {
    it(`refuses ${name}`, () => assert.throws(() => read(text, environment), message));
  }
});

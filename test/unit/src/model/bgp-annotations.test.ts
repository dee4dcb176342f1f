import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { BGP_SETTINGS, readBgpSettings } from '../../../../src/model/bgp-annotations.ts';

const read = (settings: Record<string, string>): ReturnType<typeof readBgpSettings> =>
  readBgpSettings(
    Object.fromEntries(Object.entries(settings).map(([key, value]) => [`ocicat.dev/${key}`, value])),
  );

describe('src/model/bgp-annotations', () => {
  it('reads values of each kind', () => {
    const { settings, problems, unknown } = read({
      families: 'ipv4-unicast, ipv6-unicast',
      'hold-time': '1m30s',
      'keepalive-time': '10',
      passive: 'true',
      'password-file': '/etc/ocicat/tor1.key',
      'max-prefix-ipv4': '1000',
      'max-prefix-restart': '60s',
      'add-path': 'both',
      'add-path-max': '4',
      role: 'customer',
    });
    assert.deepEqual([problems, unknown], [[], []]);
    assert.deepEqual(settings, {
      families: ['ipv4', 'ipv6'],
      'hold-time': 90,
      'keepalive-time': 10,
      passive: true,
      'password-file': '/etc/ocicat/tor1.key',
      'max-prefix-ipv4': 1000,
      'max-prefix-restart': 60,
      'add-path': 'both',
      'add-path-max': 4,
      role: 'customer',
    });
  });

  const bad: readonly [string, Record<string, string>, RegExp][] = [
    ['hold-time', { 'hold-time': '2' }, /0 or 3 to 65535 seconds.*not "2"/],
    ['hold-time', { 'hold-time': 'soon' }, /seconds/],
    ['families', { families: 'ipv4-unicast,l2vpn-evpn' }, /"l2vpn-evpn" is not/],
    ['passive', { passive: 'yes' }, /"true" or "false"/],
    ['password-file', { 'password-file': 'key' }, /absolute path/],
    ['role', { role: 'friend' }, /one of provider, rs/],
    ['max-prefix-ipv4', { 'max-prefix-ipv4': '0' }, /1 to 4294967295/],
    ['keepalive-time', { 'keepalive-time': '31' }, /third of the hold time, 90 s/],
    ['add-path-max', { 'add-path-max': '2' }, /needs add-path/],
    ['max-prefix-action', { 'max-prefix-action': 'warn' }, /needs max-prefix-ipv4/],
    ['bfd-interval', { 'bfd-interval': '300' }, /needs bfd/],
    ['role-strict', { 'role-strict': 'true' }, /needs role/],
    ['listen-range', { 'listen-range': '192.0.2.1' }, /prefixes with commas.*"192\.0\.2\.1" is none/],
    ['listen-range', { 'listen-range': '10.0.0.0/8,10.1.0.0/16' }, /do not overlap; "10\.1\.0\.0\/16" does/],
    ['listen-limit', { 'listen-limit': '5' }, /needs listen-range/],
    ['listen-limit', { 'listen-range': '10.0.0.0/8', 'listen-limit': '0' }, /1 to 65535/],
    ['passive', { 'listen-range': '10.0.0.0/8', passive: 'false' }, /never dialled/],
    ['remote-as', { 'remote-as': '65001,0' }, /internal, external, or AS numbers/],
    ['peer-group', { 'peer-group': 'Not A Name' }, /name of a BGPPeer/],
    ['peer-group', { 'peer-group': 'a', template: 'true' }, /cannot have a group itself/],
    ['listen-range', { 'listen-range': '10.0.0.0/8', template: 'true' }, /makes no sessions/],
  ];
  for (const [name, settings, reason] of bad) {
    it(`refuses ${JSON.stringify(settings)}`, () => {
      const [problem, ...others] = read(settings).problems;
      assert.equal(problem?.path, `metadata.annotations["ocicat.dev/${name}"]`);
      assert.match(problem?.reason ?? '', reason);
      assert.deepEqual(others, []);
    });
  }

  it('keeps the good settings beside a bad one', () => {
    const { settings, problems } = read({ 'hold-time': 'x', passive: 'true' });
    assert.deepEqual([settings, problems.length], [{ passive: true }, 1]);
  });

  it('names an unknown setting and the one that may be meant', () => {
    const { unknown } = read({ 'hold-tim': '9' });
    assert.match(unknown[0]?.reason ?? '', /is ocicat\.dev\/hold-time meant\?/);
    assert.match(read({ unheard: '1' }).unknown[0]?.reason ?? '', /known are template, peer-group/);
    assert.deepEqual(readBgpSettings({ 'example.com/x': '1' }).unknown, []);
  });

  it('stand in the README, each with its meaning, in order', () => {
    const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8');
    const rows = Object.entries(BGP_SETTINGS).map(([name, { meaning }]) => `| \`${name}\` | ${meaning} |`);
    assert.ok(readme.includes(`\n${rows.join('\n')}\n`), `the README should have\n${rows.join('\n')}`);
  });
});

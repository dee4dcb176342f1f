import assert from 'node:assert/strict';
import { type AttachmentResult, appendResult, renderResult } from '../../../../src/cni/result.ts';
import { CNI_VERSIONS } from '../../../../src/cni/version.ts';

const RESULT: AttachmentResult = {
  interfaces: [
    { name: 'oci1', mac: 'ee:ee:ee:ee:ee:ee', mtu: 1500 },
    { name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1500, sandbox: '/run/netns/c1' },
  ],
  ips: [
    { address: '10.0.0.1/32', gateway: '169.254.1.1', interface: 1 },
    { address: 'fd00::1/128', gateway: 'fe80::1', interface: 1 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '169.254.1.1' },
    { dst: '::/0', gw: 'fe80::1' },
  ],
  dns: { nameservers: ['10.0.0.53'] },
};

describe('CNI results', () => {
  it('each version has its own form', () => {
    for (const version of CNI_VERSIONS) {
      const rendered = renderResult(RESULT, version);
      assert.equal(rendered['cniVersion'], version);
      assert.deepEqual(rendered['dns'], RESULT.dns);
      const text = JSON.stringify(rendered);
      const isFirst = version === '0.1.0' || version === '0.2.0';
      assert.equal('ip4' in rendered, isFirst);
      assert.equal('interfaces' in rendered, !isFirst);
      assert.equal(text.includes('"version":"4"'), version.startsWith('0.3') || version === '0.4.0');
      assert.equal(text.includes('"mtu"'), version === '1.1.0');
    }
  });

  it('the first form of one family has no trace of the other', () => {
    const four = { ...RESULT, ips: RESULT.ips.slice(0, 1), routes: RESULT.routes.slice(0, 1) };
    assert.deepEqual(renderResult(four, '0.2.0'), {
      cniVersion: '0.2.0',
      ip4: { ip: '10.0.0.1/32', gateway: '169.254.1.1', routes: [{ dst: '0.0.0.0/0', gw: '169.254.1.1' }] },
      dns: RESULT.dns,
    });
  });

  it('a chain keeps what was there, and indexes follow', () => {
    const rendered = appendResult(
      { interfaces: [{ name: 'lo' }], dns: { domain: 'x' } },
      renderResult(RESULT, '1.0.0'),
    );
    assert.deepEqual(rendered['ips'], [
      { address: '10.0.0.1/32', gateway: '169.254.1.1', interface: 2 },
      { address: 'fd00::1/128', gateway: 'fe80::1', interface: 2 },
    ]);
    assert.deepEqual(rendered['dns'], { domain: 'x', nameservers: ['10.0.0.53'] });
  });
});

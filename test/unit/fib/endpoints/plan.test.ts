import assert from 'node:assert/strict';
import {
  containerMac,
  type EndpointSpec,
  GATEWAYS,
  HOST_MAC,
  hostLinkName,
  problemOfSpec,
} from '../../../../fib/endpoints/plan.ts';
import { formatAddress, parseAddress } from '../../../../src/net/address.ts';

describe('fib/endpoints/plan', () => {
  it('names the host end by prefix and the first 11 hex digits of SHA-1', () => {
    // printf %s default.web | sha1sum
    assert.equal(hostLinkName('default.web'), 'oci68caf03a5f4');
    assert.equal(hostLinkName('default.web', 'oc_x'), 'oc_x68caf03a5f4');
    for (const prefix of ['', 'toolo', '1a', 'a/', 'A'])
      assert.throws(() => hostLinkName('x', prefix), RangeError, prefix);
  });

  it('makes a stable, locally administered unicast address for each container', () => {
    const mac = containerMac('default.web');
    assert.equal(mac.length, 6);
    assert.equal(mac[0], 2);
    assert.deepEqual(mac, containerMac('default.web'));
    assert.notDeepEqual(mac, containerMac('default.web2'));
  });

  it('has one gateway a family', () => {
    assert.deepEqual([GATEWAYS.ipv4, GATEWAYS.ipv6].map(formatAddress), [
      '169.254.1.1',
      'fe80::ecee:eeff:feee:eeee',
    ]);
  });

  it('finds what is wrong with a specification', () => {
    const address = parseAddress('10.0.0.1');
    assert.ok(address);
    const good: EndpointSpec = {
      id: 'default.web',
      netns: '/run/netns/web',
      addresses: [address],
      mtu: 1500,
    };
    assert.equal(problemOfSpec(good), undefined);
    for (const [change, text] of [
      [{ id: '' }, /id is empty/],
      [{ addresses: [] }, /no address/],
      [{ mtu: 1279 }, /1279/],
      [{ mtu: 1500.5 }, /1500.5/],
      [{ containerIfname: 'a/b' }, /a\/b/],
      [{ containerIfname: 'lo' }, /lo/],
      [{ containerIfname: 'sixteencharacter' }, /sixteencharacter/],
      [{ mac: Uint8Array.of(1, 2, 3, 4, 5, 6) }, /MAC/],
      [{ mac: Uint8Array.of(2, 2) }, /MAC/],
      [{ mac: new Uint8Array(6) }, /MAC is all zeros/],
      [{ mac: HOST_MAC }, /MAC is the gateway's/],
    ] as const) {
      assert.match(problemOfSpec({ ...good, ...change }) ?? '', text);
    }
  });
});

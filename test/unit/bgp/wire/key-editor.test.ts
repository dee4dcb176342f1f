/** Editing attribute keys, and the AS_PATH helpers that the decision process uses. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { asPathFirst, asPathHopCount, encodeAsPath } from '../../../../bgp/wire/as-path.ts';
import { attributeSlice, decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import {
  forEachAttribute,
  hasCommunity,
  withAttribute,
  withCommunity,
  withLocalPref,
  withMed,
  withNextHop,
  withoutAttributes,
  withoutNonTransitiveExtendedCommunities,
  withPrependedAsPath,
  withReflection,
  withReplacedAs,
} from '../../../../bgp/wire/key-editor.ts';
import type { AttributeKey, PathAttributes } from '../../../../bgp/wire/types.ts';
import { type Address, parseAddress } from '../../../../src/net/address.ts';
import { attributes4, attributes6, uint32 } from './arbitraries.ts';

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed);
  return parsed;
}

const BASE: PathAttributes = {
  nextHop: address('192.0.2.1'),
  origin: 'igp',
  asPath: [{ type: 'sequence', asNumbers: [65001, 65002] }],
};
const KEY = encodeAttributes(BASE);

/** An edit must give what encoding the changed values gives. */
function same(key: AttributeKey, attributes: PathAttributes): void {
  assert.deepEqual(decodeAttributes(key), attributes);
  assert.equal(key.toHex(), encodeAttributes(attributes).toHex());
}

describe('bgp/wire/key-editor', () => {
  it('sets and takes away MULTI_EXIT_DISC and LOCAL_PREF like encoding anew, whatever else is there', () => {
    fc.assert(
      fc.property(fc.oneof(attributes4, attributes6), uint32, (attributes, value) => {
        const key = encodeAttributes(attributes);
        const { med: _med, localPref: _localPref, ...rest } = attributes;
        same(withLocalPref(withMed(key, value), value), { ...attributes, med: value, localPref: value });
        same(withMed(withLocalPref(key, undefined), undefined), rest);
      }),
    );
  });

  it('changes the next hop between families, with and without a link-local one', () => {
    const global = address('2001:db8::1');
    const local = address('fe80::1');
    same(withNextHop(KEY, global, local), { ...BASE, nextHop: global, linkLocalNextHop: local });
    same(withNextHop(withNextHop(KEY, global, local), address('192.0.2.9')), {
      ...BASE,
      nextHop: address('192.0.2.9'),
    });
    assert.equal(withNextHop(KEY, undefined)[0], 0);
    assert.equal(decodeAttributes(withNextHop(KEY, undefined)).nextHop, undefined);
  });

  it('RFC 4271 5.1.2: prepends into a leading sequence, before a set, and past 255 members', () => {
    same(withPrependedAsPath(KEY, [65000, 65000]), {
      ...BASE,
      asPath: [{ type: 'sequence', asNumbers: [65000, 65000, 65001, 65002] }],
    });
    const set = { type: 'set', asNumbers: [65001] } as const;
    same(withPrependedAsPath(encodeAttributes({ ...BASE, asPath: [set] }), [65000]), {
      ...BASE,
      asPath: [{ type: 'sequence', asNumbers: [65000] }, set],
    });
    const full = { type: 'sequence', asNumbers: Array.from({ length: 255 }, () => 65001) } as const;
    same(withPrependedAsPath(encodeAttributes({ ...BASE, asPath: [full] }), [65000]), {
      ...BASE,
      asPath: [{ type: 'sequence', asNumbers: [65000] }, full],
    });
    same(withPrependedAsPath(encodeAttributes({ ...BASE, asPath: [] }), [65000]), {
      ...BASE,
      asPath: [{ type: 'sequence', asNumbers: [65000] }],
    });
  });

  it('replaces an AS number', () => {
    same(withReplacedAs(KEY, 65001, 65000), {
      ...BASE,
      asPath: [{ type: 'sequence', asNumbers: [65000, 65002] }],
    });
    assert.equal(withReplacedAs(KEY, 1, 2), KEY);
  });

  it('adds communities once and knows them', () => {
    const large = { global: 65001, local1: 1, local2: 2 };
    const key = withCommunity(withCommunity(withCommunity(KEY, 0xffff0000), 7), large);
    same(key, { ...BASE, communities: [0xffff0000, 7], largeCommunities: [large] });
    assert.equal(withCommunity(key, 7), key);
    assert.equal(withCommunity(key, large), key);
    assert.ok(hasCommunity(key, 0xffff0000) && hasCommunity(key, large));
    assert.ok(!hasCommunity(key, 8) && !hasCommunity(KEY, 7) && !hasCommunity(KEY, large));
  });

  it('grows an attribute past 255 octets', () => {
    let key = KEY;
    for (let value = 0; value < 80; value++) key = withCommunity(key, value);
    same(key, { ...BASE, communities: Array.from({ length: 80 }, (_, value) => value) });
  });

  it('RFC 4360 6: strips non-transitive extended communities', () => {
    const transitive = 0x0002fde900000001n;
    const key = encodeAttributes({
      ...BASE,
      extendedCommunities: [0x4004fde900000001n, transitive, 0x4300000000000000n],
    });
    same(withoutNonTransitiveExtendedCommunities(key), { ...BASE, extendedCommunities: [transitive] });
    same(
      withoutNonTransitiveExtendedCommunities(
        encodeAttributes({ ...BASE, extendedCommunities: [1n << 62n] }),
      ),
      BASE,
    );
    assert.equal(withoutNonTransitiveExtendedCommunities(KEY), KEY);
  });

  it('RFC 4456 8: sets ORIGINATOR_ID once and puts the cluster id in front', () => {
    const once = withReflection(KEY, 1, 2);
    same(once, { ...BASE, originatorId: 1, clusterList: [2] });
    same(withReflection(once, 9, 3), { ...BASE, originatorId: 1, clusterList: [3, 2] });
  });

  it('drops attributes and visits those that stay in order', () => {
    const key = withAttribute(withMed(KEY, 5), 99, Uint8Array.of(1));
    const codes: number[] = [];
    forEachAttribute(withoutAttributes(key, [2, 77]), (code) => codes.push(code));
    assert.deepEqual(codes, [1, 4, 99]);
    assert.equal(attributeSlice(key, 4)?.toHex(), '00000005');
    assert.equal(attributeSlice(KEY, 4), undefined);
  });
});

describe('bgp/wire/as-path', () => {
  const path = encodeAsPath([
    { type: 'confed-sequence', asNumbers: [65100] },
    { type: 'sequence', asNumbers: [65001, 65002, 65001] },
    { type: 'set', asNumbers: [1, 2, 3] },
  ]);

  it('RFC 4271 9.1.2.2, RFC 5065 5.3: counts a set once and confederation segments not at all', () => {
    assert.equal(asPathHopCount(path), 4);
    assert.equal(asPathHopCount(new Uint8Array(0)), 0);
  });

  it('finds the neighbouring AS', () => {
    assert.equal(asPathFirst(path), 65001);
    assert.equal(asPathFirst(encodeAsPath([{ type: 'set', asNumbers: [1] }])), undefined);
    assert.equal(asPathFirst(new Uint8Array(0)), undefined);
  });
});

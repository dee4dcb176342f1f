import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addToAddress, formatAddress, parseAddress } from '../../../../src/net/address.ts';
import { formatPrefix, parsePrefix, prefixContains, prefixOf } from '../../../../src/net/prefix.ts';
import { PrefixTable } from '../../../../src/net/prefix-table.ts';

describe('src/net', () => {
  for (const [text, canonical] of [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
    ['fe80::', 'fe80::'],
  ] as const) {
    it(`reads ${text} as ${canonical}`, () => {
      const address = parseAddress(text);
      assert.ok(address);
      assert.equal(formatAddress(address), canonical);
    });
  }

  for (const text of [
    '',
    '10.0.0',
    '010.0.0.1',
    '1.2.3.4/8',
    '1.2.3.256',
    'fe80::1%eth0',
    '1::2::3',
    'x',
    '::/0',
    ' ::',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseAddress(text), undefined));
  }

  for (const text of [
    '10.0.0.0',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '/8',
    '10.0.0.0/8/8',
  ]) {
    it(`refuses the prefix ${JSON.stringify(text)}`, () => assert.equal(parsePrefix(text), undefined));
  }

  it('clears host bits', () => {
    const prefix = parsePrefix('10.1.2.3/22');
    assert.ok(prefix);
    assert.equal(formatPrefix(prefix), '10.1.0.0/22');
  });

  it('adds with carry and stops at the end of the range', () => {
    const address = parseAddress('10.0.0.255');
    assert.ok(address);
    assert.equal(formatAddress(addToAddress(address, 1) ?? address), '10.0.1.0');
    const last = parseAddress('255.255.255.255');
    assert.ok(last);
    assert.equal(addToAddress(last, 1), undefined);
  });

  const prefixArbitrary = fc.oneof(
    fc
      .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 0, max: 32 }))
      .map(([bytes, length]) => prefixOf({ family: 'ipv4', bytes }, length)),
    fc
      .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 }))
      .map(([bytes, length]) => prefixOf({ family: 'ipv6', bytes }, length)),
  );

  it('round-trips every prefix through text', () => {
    fc.assert(
      fc.property(prefixArbitrary, (prefix) => assert.deepEqual(parsePrefix(formatPrefix(prefix)), prefix)),
    );
  });

  it('a prefix holds itself and each longer prefix of its address', () => {
    fc.assert(
      fc.property(prefixArbitrary, fc.nat(128), (prefix, length) => {
        const shorter = prefixOf(prefix, Math.min(length, prefix.length));
        assert.ok(prefixContains(shorter, prefix));
      }),
    );
  });

  for (const family of ['ipv4', 'ipv6'] as const) {
    it(`PrefixTable behaves as a Map under random adds and deletes (${family})`, () => {
      const octets = family === 'ipv4' ? 4 : 16;
      // Few distinct values, so that deletes hit and probe runs overlap.
      const step = fc.tuple(
        fc.boolean(),
        fc.integer({ min: 0, max: 80 }),
        fc.integer({ min: 0, max: octets * 8 }),
      );
      fc.assert(
        fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
          const table = new PrefixTable(family, 16);
          const model = new Map<string, number>();
          for (const [add, seed, length] of steps) {
            const prefix = prefixOf({ family, bytes: new Uint8Array(octets).fill(seed * 3) }, length);
            const key = formatPrefix(prefix);
            if (add) {
              const id = table.internPrefix(prefix);
              assert.equal(model.get(key) ?? id, id);
              model.set(key, id);
            } else {
              assert.equal(table.findPrefix(prefix), model.get(key) ?? -1);
              table.delete(table.findPrefix(prefix));
              model.delete(key);
            }
          }
          assert.equal(table.size, model.size);
          for (const [key, id] of model) assert.equal(formatPrefix(table.prefixOf(id)), key);
          assert.equal(new Set(model.values()).size, model.size);
        }),
      );
    });
  }

  it('finds the longest match', () => {
    const table = new PrefixTable('ipv4');
    const ids = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16'].map((text) => {
      const prefix = parsePrefix(text);
      assert.ok(prefix);
      return table.internPrefix(prefix);
    });
    assert.equal(table.longestMatch(32, 0x0a010203, 0, 0, 0), ids[2]);
    assert.equal(table.longestMatch(32, 0x0a020203, 0, 0, 0), ids[1]);
    assert.equal(table.longestMatch(32, 0x0b020203, 0, 0, 0), ids[0]);
    assert.equal(
      table.longestMatch(32, 0x0a010203, 0, 0, 0, (id) => id !== ids[2]),
      ids[1],
    );
  });
});

/** Round trips of the codec, its packing, and what it makes of arbitrary and damaged octets. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeAttributes, encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import { nextFrame } from '../../../../bgp/wire/frame.ts';
import { decodeMessage, encodeKeepalive, encodeRouteRefresh } from '../../../../bgp/wire/messages.ts';
import { NlriWalker } from '../../../../bgp/wire/nlri.ts';
import {
  describeNotification,
  encodeNotification,
  hardReset,
  notification,
  shutdownCommunication,
} from '../../../../bgp/wire/notification.ts';
import { encodeOpen } from '../../../../bgp/wire/open.ts';
import { encodeEndOfRib, UpdatePacker } from '../../../../bgp/wire/packer.ts';
import type { DecodeContext, DecodedMessage, NlriRange } from '../../../../bgp/wire/types.ts';
import { decodeUpdate } from '../../../../bgp/wire/update.ts';
import { DEFAULT_VERDICT_CONTEXT, verdictOf } from '../../../../bgp/wire/verdict.ts';
import type { Family } from '../../../../src/net/address.ts';
import { maskWord } from '../../../../src/net/prefix-table.ts';
import { attributes4, attributes6, capability, uint32 } from './arbitraries.ts';
import { MANDATORY, MP_REACH, message, NLRI, NLRI6, octets, update } from './support.ts';

const IBGP: DecodeContext = { ...DEFAULT_VERDICT_CONTEXT, peerKind: 'ibgp', localAs: 65001 };

/** Decodes one whole message. */
function decode(bytes: Uint8Array, context: DecodeContext = IBGP): DecodedMessage {
  const frame = nextFrame(bytes, 0, bytes.length, context.extendedMessage);
  assert.equal(frame.kind, 'message');
  assert.ok(frame.kind === 'message' && frame.end === bytes.length);
  return decodeMessage(frame.type, bytes.subarray(frame.bodyStart, frame.end), context);
}

type Nlri = readonly [length: number, w0: number, w1: number, w2: number, w3: number, pathId: number];

function walk(body: Uint8Array, range: NlriRange): Nlri[] {
  const walker = new NlriWalker();
  const found: Nlri[] = [];
  walker.reset(body, range);
  while (walker.next()) {
    found.push([walker.length, walker.w0, walker.w1, walker.w2, walker.w3, walker.pathId]);
  }
  return found;
}

/** Prefixes with host bits zero, without path identifier. */
function prefixes(family: Family): fc.Arbitrary<Nlri> {
  const bits = family === 'ipv4' ? 32 : 128;
  return fc
    .tuple(fc.integer({ min: 0, max: bits }), uint32, uint32, uint32, uint32)
    .map(([length, w0, w1, w2, w3]) => [
      length,
      maskWord(w0, length),
      maskWord(w1, length - 32),
      maskWord(w2, length - 64),
      maskWord(w3, length - 96),
      0,
    ]);
}

const FORMS = { as4: true, extendedNextHop: false, addPath: false, maxLength: 4096 } as const;

describe('bgp/wire round trips', () => {
  it('attributes: decode(encode(x)) is x', () => {
    fc.assert(
      fc.property(fc.oneof(attributes4, attributes6), (attributes) => {
        assert.deepEqual(decodeAttributes(encodeAttributes(attributes)), attributes);
      }),
    );
  });

  it('capabilities and OPEN: decode(encode(x)) is x, in the extended form too (RFC 9072)', () => {
    fc.assert(
      fc.property(
        fc.array(capability, { maxLength: 12 }),
        fc.integer({ min: 1, max: 0xffffffff }),
        fc.constantFrom(0, 3, 90, 65535),
        uint32,
        (capabilities, as, holdTimeSec, routerId) => {
          const decoded = decode(encodeOpen({ as, holdTimeSec, routerId, capabilities }));
          assert.deepEqual(decoded, {
            type: 'open',
            open: { version: 4, as2: as > 0xffff ? 23456 : as, holdTimeSec, routerId, capabilities },
          });
        },
      ),
    );
  });

  for (const family of ['ipv4', 'ipv6'] as const) {
    for (const as4 of [true, false]) {
      for (const addPath of [false, true]) {
        it(`UPDATE: what is packed is read again (${family}, ${as4 ? 4 : 2}-octet AS${addPath ? ', ADD-PATH' : ''})`, () => {
          const packer = new UpdatePacker();
          const target = new Uint8Array(8192);
          const context = {
            ...IBGP,
            as4,
            addPathReceive: { ipv4: addPath, ipv6: addPath },
          };
          fc.assert(
            fc.property(
              family === 'ipv4' ? attributes4 : attributes6,
              fc.array(prefixes(family), { minLength: 1, maxLength: 30 }),
              fc.nat(2000),
              (attributes, list, offset) => {
                const key = encodeAttributes(attributes);
                const options = { ...FORMS, as4, addPath };
                assert.equal(packer.beginReach(target, offset, family, key, options), 'begun');
                const sent = list.map<Nlri>(([length, w0, w1, w2, w3], index) => {
                  const pathId = addPath ? index : 0;
                  assert.ok(packer.add(length, w0, w1, w2, w3, pathId));
                  return [length, w0, w1, w2, w3, pathId];
                });
                const decoded = decode(target.subarray(offset, offset + packer.finish()), context);
                assert.ok(decoded.type === 'update');
                assert.equal(decoded.update.verdict.kind, 'ok');
                const [run] = decoded.update.reach;
                assert.ok(run);
                assert.deepEqual(walk(decoded.update.body, run.nlri), sent);
                assert.deepEqual(decodeAttributes(run.attributes), attributes);
                assert.deepEqual(run.attributes, key);
              },
            ),
          );
        });
      }
    }

    it(`UPDATE: withdrawals are read again (${family})`, () => {
      const packer = new UpdatePacker();
      const target = new Uint8Array(4096);
      fc.assert(
        fc.property(fc.array(prefixes(family), { minLength: 1, maxLength: 30 }), (list) => {
          assert.equal(packer.beginWithdraw(target, 0, family, FORMS), 'begun');
          for (const [length, w0, w1, w2, w3] of list) assert.ok(packer.add(length, w0, w1, w2, w3, 0));
          const decoded = decode(target.subarray(0, packer.finish()));
          assert.ok(decoded.type === 'update');
          assert.equal(decoded.update.verdict.kind, 'ok');
          const [range] = decoded.update.withdrawn;
          assert.ok(range);
          assert.deepEqual(walk(decoded.update.body, range), list);
        }),
      );
    });

    it(`RFC 4724 2: the End-of-RIB marker (${family})`, () => {
      const decoded = decode(encodeEndOfRib(family));
      assert.ok(decoded.type === 'update');
      assert.equal(decoded.update.endOfRib, family);
      assert.equal(decoded.update.verdict.kind, 'ok');
    });
  }

  it('canonical messages come out as they went in: encode(decode(bytes)) is bytes', () => {
    const bytes = octets(
      update({
        attributes: `${MANDATORY}80040400000005c00808fde90001fde90002c0200c0000fde90000000100000002e063020102`,
        nlri: `${NLRI}18c63364`,
      }),
    );
    const decoded = decodeUpdate(bytes.subarray(19), IBGP);
    const [run] = decoded.reach;
    assert.ok(run);
    const packer = new UpdatePacker();
    const target = new Uint8Array(4096);
    packer.beginReach(target, 0, 'ipv4', encodeAttributes(decodeAttributes(run.attributes)), FORMS);
    for (const nlri of walk(decoded.body, run.nlri)) packer.add(...nlri);
    assert.equal(target.subarray(0, packer.finish()).toHex(), bytes.toHex());
  });

  it('RFC 6793 4.2.3: AS_PATHs of every length widen to the same key that 4-octet ones give', () => {
    for (let count = 1; count <= 255; count++) {
      const asNumbers = Array.from({ length: count }, (_, index) => 1 + index);
      const path = asNumbers.map((as) => as.toString(16).padStart(4, '0')).join('');
      const length = (2 + 2 * count).toString(16).padStart(4, '0');
      const attributes = `400101005002${length}02${count.toString(16).padStart(2, '0')}${path}400304c0000201`;
      const bytes = octets(update({ attributes: `${attributes}c00804fde90001`, nlri: NLRI }));
      const decoded = decodeUpdate(bytes.subarray(19), { ...IBGP, as4: false });
      const expected = encodeAttributes({
        nextHop: { family: 'ipv4', bytes: octets('c0000201') },
        origin: 'igp',
        asPath: [{ type: 'sequence', asNumbers }],
        communities: [0xfde90001],
      });
      assert.equal(decoded.reach[0]?.attributes.toHex(), expected.toHex(), `${count} hops`);
    }
  });

  it('RFC 8092 5: a list of large communities that shrinks below 256 octets is canonical', () => {
    for (const [distinct, total] of [
      [1, 40],
      [21, 22],
      [22, 30],
    ] as const) {
      const one = (index: number) =>
        `0000fde900000000000000${(index % distinct).toString(16).padStart(2, '0')}`;
      const list = Array.from({ length: total }, (_, index) => one(index)).join('');
      const length = (12 * total).toString(16).padStart(4, '0');
      const bytes = octets(update({ attributes: `${MANDATORY}d020${length}${list}`, nlri: NLRI }));
      const key = decodeUpdate(bytes.subarray(19), IBGP).reach[0]?.attributes;
      assert.ok(key);
      assert.equal(key.toHex(), encodeAttributes(decodeAttributes(key)).toHex());
      assert.equal(decodeAttributes(key).largeCommunities?.length, distinct);
    }
  });

  it('RFC 4724 2: accepts the marker of IPv4 in MP_UNREACH_NLRI, and only where nothing else stands', () => {
    const endOfRib = (hex: string) => {
      const decoded = decode(octets(hex));
      assert.ok(decoded.type === 'update');
      return decoded.update.endOfRib;
    };
    assert.equal(endOfRib(update({ attributes: '800f03000101' })), 'ipv4');
    assert.equal(endOfRib(update({ attributes: '900f0003000201' })), 'ipv6');
    assert.equal(endOfRib(update({ withdrawn: NLRI, attributes: '800f03000201' })), undefined);
    assert.equal(endOfRib(update({ attributes: '800f03000201400600' })), undefined);
    assert.equal(endOfRib(update({ attributes: `800f0a000201${NLRI6}` })), undefined);
    assert.equal(endOfRib(update({ attributes: '800f03001946' })), undefined);
  });

  it('KEEPALIVE, ROUTE-REFRESH and NOTIFICATION', () => {
    assert.equal(encodeKeepalive().toHex(), message(4, ''));
    assert.equal(encodeRouteRefresh(2, 1).toHex(), message(5, '00020001'));
    assert.equal(encodeRouteRefresh(1, 1, 2).toHex(), message(5, '00010201'));
    assert.equal(encodeNotification(notification(6, 3)).toHex(), message(3, '0603'));
    assert.deepEqual(decode(octets(message(3, '0601abcd'))), {
      type: 'notification',
      error: { code: 6, subcode: 1, data: octets('abcd') },
    });
    assert.equal(encodeNotification(notification(3, 9, new Uint8Array(9000))).length, 4096);
  });
});

describe('bgp/wire/packer', () => {
  const key = encodeAttributes(decodeAttributes(octets('04c0000201 40010100 40020602010000fde9')));

  it('fills a message to the last octet and no further', () => {
    const packer = new UpdatePacker();
    const target = new Uint8Array(5000);
    for (const maxLength of [200, 201, 202, 203, 4096]) {
      assert.equal(packer.beginReach(target, 0, 'ipv4', key, { ...FORMS, maxLength }), 'begun');
      let count = 0;
      while (packer.add(24, count << 8, 0, 0, 0, 0)) count++;
      const length = packer.finish();
      assert.ok(length <= maxLength && length > maxLength - 4, `${length} of ${maxLength}`);
      assert.equal(decode(target.subarray(0, length)).type, 'update');
    }
  });

  it('fills a message of withdrawals and of IPv6 to the last octet', () => {
    const packer = new UpdatePacker();
    const target = new Uint8Array(5000);
    for (const family of ['ipv4', 'ipv6'] as const) {
      for (const maxLength of [300, 301, 302, 303, 304]) {
        assert.equal(packer.beginWithdraw(target, 7, family, { ...FORMS, maxLength }), 'begun');
        let count = 0;
        while (packer.add(24, count << 8, 0, 0, 0, 0)) count++;
        const length = packer.finish();
        assert.ok(length <= maxLength && length > maxLength - 4, `${length} of ${maxLength}`);
        const decoded = decode(target.subarray(7, 7 + length));
        assert.ok(decoded.type === 'update' && decoded.update.verdict.kind === 'ok');
      }
    }
  });

  it('RFC 7606 5.1: MP_REACH_NLRI comes first', () => {
    const packer = new UpdatePacker();
    const target = new Uint8Array(4096);
    const key6 = encodeAttributes({
      ...decodeAttributes(key),
      nextHop: { family: 'ipv6', bytes: octets('20010db8000000000000000000000001') },
    });
    assert.equal(packer.beginReach(target, 0, 'ipv6', key6, FORMS), 'begun');
    packer.add(48, 0x20010db8, 0x00010000, 0, 0, 0);
    const expected = update({
      attributes: `${MP_REACH.replace('800e1c', '900e001c')}4001010040020602010000fde9`,
    });
    assert.equal(target.subarray(0, packer.finish()).toHex(), expected.replaceAll(' ', ''));
  });

  it('says no-room when the buffer is short and unsendable when it never will do', () => {
    const packer = new UpdatePacker();
    const target = new Uint8Array(100);
    assert.equal(packer.beginReach(target, 90, 'ipv4', key, FORMS), 'no-room');
    assert.equal(packer.beginWithdraw(target, 90, 'ipv6', FORMS), 'no-room');
    assert.equal(packer.beginReach(target, 0, 'ipv6', key, FORMS), 'unsendable');
    const key6 = octets(`10${'20'.repeat(16)}40010100400200`);
    assert.equal(packer.beginReach(target, 0, 'ipv4', key6, FORMS), 'unsendable');
    assert.equal(packer.beginReach(target, 0, 'ipv4', key6, { ...FORMS, extendedNextHop: true }), 'begun');
    const long = octets(`04c0000201 40010100 400200 d0ff1000${'00'.repeat(4096)}`);
    assert.equal(packer.beginReach(new Uint8Array(9000), 0, 'ipv4', long, FORMS), 'unsendable');
    assert.equal(packer.beginReach(target, 0, 'ipv4', octets('00400101 00400200'), FORMS), 'unsendable');
  });

  it('sends nothing when nothing was added', () => {
    const packer = new UpdatePacker();
    const target = new Uint8Array(4096);
    packer.beginReach(target, 0, 'ipv4', key, FORMS);
    assert.equal(packer.finish(), 0);
    packer.beginWithdraw(target, 0, 'ipv6', FORMS);
    assert.equal(packer.finish(), 0);
  });
});

const SEEDS = [
  update({ attributes: MANDATORY, nlri: NLRI }),
  update({ withdrawn: NLRI, attributes: `${MP_REACH}${MANDATORY}80040400000005c00804fde90001`, nlri: NLRI }),
  update({
    attributes: `${MANDATORY}c0070800 00fde9c0000201c0100800 02fde900000001c0200c0000fde90000000100000002`,
    nlri: NLRI,
  }),
  update({ attributes: `800f0a000201${NLRI6}` }),
  update({}),
  message(1, '04fde9005ac000020910 0206010400010001020641040000fde9'),
  message(3, '0602056c61746572'),
  message(5, '00010001'),
  message(4, ''),
].map(octets);

const anyContext = fc.record({
  phase: fc.constantFrom('opensent' as const, 'openconfirm' as const, 'established' as const),
  peerKind: fc.constantFrom('ebgp' as const, 'ibgp' as const),
  localAs: fc.constant(65000),
  peerAs: fc.constant(65001),
  as4: fc.boolean(),
  extendedMessage: fc.boolean(),
  addPathReceive: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }),
  families: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }),
  extendedNextHop: fc.boolean(),
  enforceFirstAs: fc.boolean(),
  rejectAsSets: fc.boolean(),
});

const VERDICTS = ['valid', 'attr-discard', 'treat-as-withdraw', 'session-reset', 'close'];

describe('bgp/wire: any octets give a verdict', () => {
  it('arbitrary octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), anyContext, (bytes, context) => {
        assert.ok(VERDICTS.includes(verdictOf(bytes, context).verdict));
      }),
    );
  });

  it('arbitrary bodies of every type', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: 0, max: 7 }),
        anyContext,
        (body, type, context) => {
          const found = verdictOf(octets(message(type, body.toHex())), context);
          assert.ok(VERDICTS.includes(found.verdict));
          assert.equal(found.error === null, found.verdict !== 'session-reset');
        },
      ),
      { numRuns: 500 },
    );
  });

  it('arbitrary attributes in an UPDATE with right lengths; keys that come out can be decoded and sent', () => {
    const packer = new UpdatePacker();
    const target = new Uint8Array(70000);
    const anyAttribute = fc
      .tuple(
        fc.constantFrom(0x40, 0x80, 0xc0, 0xe0, 0x50),
        fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 25, 26, 32, 35, 40, 99),
        fc.uint8Array({ maxLength: 24 }),
      )
      .map(([flags, code, value]) => {
        const length = value.length.toString(16).padStart(flags & 0x10 ? 4 : 2, '0');
        return `${flags.toString(16)}${code.toString(16).padStart(2, '0')}${length}${value.toHex()}`;
      });
    fc.assert(
      fc.property(fc.array(anyAttribute, { maxLength: 6 }), anyContext, (extra, context) => {
        const path = context.as4 ? '40020602010000fde9' : '4002040201fde9';
        const bytes = octets(
          update({ attributes: `40010100${path}400304c0000201${extra.join('')}`, nlri: NLRI }),
        );
        const decoded = decodeUpdate(bytes.subarray(19), {
          ...context,
          addPathReceive: { ipv4: false, ipv6: false },
        });
        for (const { attributes, nlri } of decoded.reach) {
          assert.deepEqual(encodeAttributes(decodeAttributes(attributes)).length, attributes.length);
          const options = { ...FORMS, as4: context.as4, extendedNextHop: true };
          assert.equal(packer.beginReach(target, 0, nlri.family, attributes, options), 'begun');
          packer.add(8, 0x0a000000, 0, 0, 0, 0);
          const again = decodeUpdate(target.subarray(19, packer.finish()), {
            ...context,
            addPathReceive: { ipv4: false, ipv6: false },
            extendedNextHop: true,
          });
          assert.equal(again.verdict.kind, 'ok', JSON.stringify(again.verdict));
          assert.deepEqual(again.reach[0]?.attributes, attributes);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('mutated good messages', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SEEDS),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
        anyContext,
        (seed, changes, context) => {
          const bytes = seed.slice();
          for (const [at, value] of changes) bytes[19 + (at % Math.max(1, bytes.length - 19))] = value;
          assert.ok(VERDICTS.includes(verdictOf(bytes.subarray(0, seed.length), context).verdict));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('bgp/wire/notification', () => {
  it('names what it knows and shows what it does not', () => {
    const text = (code: number, subcode: number, data = '') =>
      describeNotification(notification(code, subcode, octets(data)));
    assert.equal(text(6, 2, '056c61746572'), 'Cease/Administrative Shutdown (6/2): later');
    assert.equal(text(6, 2, '05'), 'Cease/Administrative Shutdown (6/2): data 05');
    assert.equal(text(6, 2), 'Cease/Administrative Shutdown (6/2)');
    assert.equal(
      text(6, 1, '00010100000064'),
      'Cease/Maximum Number of Prefixes Reached (6/1): AFI 1 SAFI 1, limit 100',
    );
    assert.equal(text(1, 2, '0012'), 'Message Header Error/Bad Message Length (1/2): length 18');
    assert.equal(
      text(5, 1, '04'),
      'Finite State Machine Error/Receive Unexpected Message in OpenSent State (5/1): message of type 4',
    );
    assert.equal(text(4, 0), 'Hold Timer Expired (4/0)');
    assert.equal(text(99, 7, 'ab'), 'Unknown Error (99/7): data ab');
    assert.equal(
      describeNotification(hardReset(notification(6, 2, shutdownCommunication('bye')))),
      'Cease/Hard Reset (6/9): Cease/Administrative Shutdown (6/2): bye',
    );
  });

  it('RFC 9003 2: cuts a text at a character, at 255 octets', () => {
    const data = shutdownCommunication('ü'.repeat(200));
    assert.equal(data.length, 255);
    assert.equal(data[0], 254);
  });

  it('RFC 9003 7: makes control characters harmless', () => {
    const text = describeNotification(notification(6, 4, shutdownCommunication('a\u001b[2Jb\u202ec')));
    assert.ok(text.endsWith('a\ufffd[2Jb\ufffdc'), text);
  });
});

import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  BFD_STATES,
  type ControlPacket,
  decodeControlPacket,
  diagnosticText,
  encodeControlPacket,
} from '../../../../bgp/bfd/packet.ts';

const octetsOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

/** Up, Poll, diagnostic 1, multiplier 3, discriminators 0x11111111 and 0x22222222, 300 ms both ways, no echo. */
const GOOD = '21e00318' + '11111111' + '22222222' + '000493e0' + '000493e0' + '00000000';

const BAD = [
  { title: 'empty', hex: '', problem: 'truncated' },
  { title: 'three octets', hex: '21e003', problem: 'truncated' },
  { title: 'version 0', hex: `01${GOOD.slice(2)}`, problem: 'version' },
  { title: 'version 2', hex: `41${GOOD.slice(2)}`, problem: 'version' },
  { title: 'length 23', hex: `21e00317${GOOD.slice(8)}`, problem: 'length' },
  { title: 'authenticated with length 25', hex: `21e40319${GOOD.slice(8)}00`, problem: 'length' },
  { title: 'length beyond the payload', hex: `21e00319${GOOD.slice(8)}`, problem: 'truncated' },
  { title: 'payload cut short', hex: GOOD.slice(0, -2), problem: 'truncated' },
  { title: 'Detect Mult 0', hex: `21e00018${GOOD.slice(8)}`, problem: 'multiplier-zero' },
  { title: 'Multipoint', hex: `21e10318${GOOD.slice(8)}`, problem: 'multipoint' },
  { title: 'My Discriminator 0', hex: `21e0031800000000${GOOD.slice(16)}`, problem: 'my-discriminator-zero' },
  {
    title: 'Your Discriminator 0 in Up',
    hex: `21e003181111111100000000${GOOD.slice(24)}`,
    problem: 'your-discriminator-zero',
  },
  {
    title: 'Your Discriminator 0 in Init',
    hex: `2180031811111111${'00000000'}${GOOD.slice(24)}`,
    problem: 'your-discriminator-zero',
  },
  { title: 'authenticated', hex: `21e4031a${GOOD.slice(8)}0103`, problem: 'authentication' },
] as const;

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const packets: fc.Arbitrary<ControlPacket> = fc
  .record(
    {
      diagnostic: fc.integer({ min: 0, max: 31 }),
      state: fc.constantFrom(...BFD_STATES),
      poll: fc.boolean(),
      final: fc.boolean(),
      controlPlaneIndependent: fc.boolean(),
      demand: fc.boolean(),
      multiplier: fc.integer({ min: 1, max: 255 }),
      myDiscriminator: fc.integer({ min: 1, max: 0xffffffff }),
      yourDiscriminator: u32,
      desiredMinTxUs: u32,
      requiredMinRxUs: u32,
      requiredMinEchoRxUs: u32,
    },
    { noNullPrototype: true },
  )
  .filter(
    ({ state, yourDiscriminator }) => yourDiscriminator !== 0 || state === 'Down' || state === 'AdminDown',
  );

describe('BFD control packet (RFC 5880 4.1, 6.8.6)', () => {
  it('reads every field, and writes the same octets', () => {
    const decoded = decodeControlPacket(octetsOf(GOOD));
    assert.deepEqual(decoded, {
      ok: true,
      packet: {
        diagnostic: 1,
        state: 'Up',
        poll: true,
        final: false,
        controlPlaneIndependent: false,
        demand: false,
        multiplier: 3,
        myDiscriminator: 0x11111111,
        yourDiscriminator: 0x22222222,
        desiredMinTxUs: 300_000,
        requiredMinRxUs: 300_000,
        requiredMinEchoRxUs: 0,
      },
    });
    assert.ok(decoded.ok);
    assert.equal(Buffer.from(encodeControlPacket(decoded.packet)).toString('hex'), GOOD);
  });

  for (const { title, hex, problem } of BAD) {
    it(`refuses: ${title}`, () => {
      const decoded = decodeControlPacket(octetsOf(hex));
      assert.equal(decoded.ok ? 'accepted' : decoded.problem, problem);
    });
  }

  for (const state of ['AdminDown', 'Down'] as const) {
    it(`takes Your Discriminator 0 in ${state}`, () => {
      const flags = (BFD_STATES.indexOf(state) << 6).toString(16).padStart(2, '0');
      assert.ok(decodeControlPacket(octetsOf(`20${flags}03181111111100000000${GOOD.slice(24)}`)).ok);
    });
  }

  it('ignores what stands behind its length', () => {
    assert.ok(decodeControlPacket(octetsOf(`${GOOD}ffffff`)).ok);
  });

  it('property: what is written is read', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        assert.deepEqual(decodeControlPacket(encodeControlPacket(packet)), { ok: true, packet });
      }),
    );
  });

  it('property: any octets have an answer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
        const decoded = decodeControlPacket(octets);
        assert.ok(decoded.ok || decoded.text.length > 0);
      }),
    );
  });

  it('names diagnostics', () => {
    assert.equal(diagnosticText(1), 'Control Detection Time Expired');
    assert.equal(diagnosticText(31), 'Diagnostic 31');
  });
});

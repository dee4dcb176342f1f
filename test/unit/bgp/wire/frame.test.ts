/** Framing of a byte stream, fed whole, octet by octet and cut at random. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { nextFrame } from '../../../../bgp/wire/frame.ts';
import { MANDATORY, MARKER, message, NLRI, octets, update } from './support.ts';

/** Types and lengths of all messages in pieces of a stream, ending with `error code/subcode` where there is one. */
function read(pieces: readonly Uint8Array[], extended: boolean): string[] {
  const buffer = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  const found: string[] = [];
  let start = 0;
  let end = 0;
  for (const piece of pieces) {
    buffer.set(piece, end);
    end += piece.length;
    for (;;) {
      const frame = nextFrame(buffer, start, end, extended);
      if (frame.kind === 'incomplete') break;
      if (frame.kind === 'error') return [...found, `error ${frame.error.code}/${frame.error.subcode}`];
      assert.equal(frame.bodyStart, start + 19);
      found.push(`${frame.type}:${frame.end - start}`);
      start = frame.end;
    }
  }
  return found;
}

const STREAM = octets(
  [
    message(1, '04fde9005ac000020900'),
    message(4, ''),
    update({ attributes: MANDATORY, nlri: NLRI }),
    update({}),
    message(5, '00010001'),
    message(3, '060200'),
    message(4, ''),
  ].join(''),
);
const FOUND = ['1:29', '4:19', '2:47', '2:23', '5:23', '3:22', '4:19'];

function split(stream: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const bounds = [0, ...[...cuts].sort((a, b) => a - b), stream.length];
  return bounds.slice(1).map((bound, index) => stream.subarray(bounds[index], bound));
}

describe('bgp/wire/frame', () => {
  it('finds the messages of a stream that comes whole', () => {
    assert.deepEqual(read([STREAM], false), FOUND);
  });

  it('finds them octet by octet', () => {
    assert.deepEqual(read(split(STREAM, [...STREAM.keys()]), false), FOUND);
  });

  it('finds them at any cuts', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(STREAM.length)), (cuts) => {
        assert.deepEqual(read(split(STREAM, cuts), false), FOUND);
      }),
    );
  });

  it('RFC 4271 6.1: tells a bad marker as soon as it is there', () => {
    assert.deepEqual(read([octets('ffff47')], false), ['error 1/1']);
  });

  it('stops at the first error, messages before it read', () => {
    assert.deepEqual(read([octets(`${message(4, '')}${MARKER}001309`)], false), ['4:19', 'error 1/3']);
  });

  it('RFC 8654 4: takes 65535 octets only when extended', () => {
    const long = octets(`${MARKER}ffff02${'00'.repeat(65535 - 19)}`);
    assert.deepEqual(read([long], true), ['2:65535']);
    assert.deepEqual(read([long], false), ['error 1/2']);
  });

  it('gives the same for any octets, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.constant(octets(message(4, ''))),
            fc.constant(octets(update({}))),
            fc.uint8Array({ maxLength: 40 }),
          ),
          { maxLength: 4 },
        ),
        fc.array(fc.nat(300)),
        (parts, cuts) => {
          const stream = octets(parts.map((part) => part.toHex()).join(''));
          const whole = read([stream], false);
          assert.deepEqual(
            read(
              split(
                stream,
                cuts.map((cut) => Math.min(cut, stream.length)),
              ),
              false,
            ),
            whole,
          );
        },
      ),
    );
  });
});

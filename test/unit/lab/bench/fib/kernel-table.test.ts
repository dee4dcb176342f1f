/** The sample of routes that is watched: the kernel's filter and the count expected of it must pick the same ones. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { makeWorkload } from '../../../../../lab/bench/bgp/workload.ts';
import {
  addressOfWords,
  dotted,
  ExpectedRoutes,
  isSampled,
  sampleBits,
  sampleFilter,
} from '../../../../../lab/bench/fib/kernel-table.ts';

/** Runs the few instructions of classic BPF that the filter uses over a packet. */
function accepts(program: Uint8Array, packet: DataView): boolean {
  const view = new DataView(program.buffer);
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const k = view.getUint32(at + 4, true);
    switch (view.getUint16(at, true)) {
      case 0x20:
        accumulator = packet.getUint32(k);
        break;
      case 0x24:
        accumulator = Math.imul(accumulator, k) >>> 0;
        break;
      case 0x74:
        accumulator = accumulator >>> k;
        break;
      case 0x15:
        at += 8 * view.getUint8(at + (accumulator === k ? 2 : 3));
        break;
      case 0x06:
        return k !== 0;
      default:
        assert.fail('an instruction that the filter does not have');
    }
  }
  return assert.fail('ran past the end');
}

describe('bench: the sample of routes', () => {
  it('is picked alike by the filter and by the count', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 8 }), (word, bits) => {
        const packet = new DataView(new ArrayBuffer(64));
        packet.setUint32(40, word);
        assert.equal(accepts(sampleFilter(bits), packet), isSampled(word, bits));
      }),
    );
  });

  it('is everything in a small table, and some thousands of a large one', () => {
    assert.equal(sampleBits(1), 0);
    assert.equal(sampleBits(10_000), 0);
    const routes = new ExpectedRoutes(makeWorkload(100_000, 65_001));
    const sampled = routes.sampled(sampleBits(100_000));
    assert.ok(sampled > 8_000 && sampled < 18_000, `${sampled}`);
    assert.equal(routes.sampled(0), 100_000);
  });

  it('names addresses as people do', () => {
    assert.equal(dotted(0xdf00_0001 | 0), '223.0.0.1');
    assert.equal(addressOfWords('ipv4', [0xdf00_0001]), '223.0.0.1');
    assert.equal(addressOfWords('ipv6', [0x2400_0001, 0x0002_0000 | 0, 0, 3]), '2400:1:2::3');
  });
});

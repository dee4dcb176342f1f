/** Gaps in a stream of numbered packets. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {
  FlowLog,
  lossOf,
  PACKET_OCTETS,
  readPacket,
  writePacket,
} from '../../../../../lab/bench/failover/packets.ts';

describe('bench: packets of a stream', () => {
  it('carry what was written', () => {
    const octets = Buffer.alloc(PACKET_OCTETS);
    const packet = { flow: 3, number: 70_000, sentAt: 29_364_170.462354 };
    writePacket(octets, packet);
    assert.deepEqual(readPacket(octets), packet);
  });

  it('show gaps by the times of sending, each flow on its own', () => {
    const log = new FlowLog(2);
    for (const number of [5, 6, 9]) log.take({ flow: 0, number, sentAt: 100 + number });
    for (const number of [5, 6, 7, 8, 9]) log.take({ flow: 1, number, sentAt: 200 + number });
    const report = log.report();
    assert.deepEqual(report, {
      gaps: [{ flow: 0, fromMs: 106, toMs: 109, lost: 2 }],
      late: 0,
      lastSentAt: [109, 209],
    });
    assert.deepEqual(lossOf([report]), { lost: 2, longestMs: 3, endedAt: 109 });
    assert.deepEqual(lossOf([log.report()]), { lost: 0, longestMs: 0, endedAt: 0 });
  });

  it('lose just those that never came, whatever order two paths bring them in', () => {
    const packets = fc.shuffledSubarray(Array.from({ length: 30 }, (_, index) => index));
    fc.assert(
      fc.property(packets, (numbers) => {
        const log = new FlowLog(1);
        // The first and the last frame the stream.
        for (const number of [0, ...numbers.map((each) => each + 1), 31])
          log.take({ flow: 0, number, sentAt: number });
        assert.equal(lossOf([log.report()]).lost, 30 - numbers.length);
      }),
    );
  });
});

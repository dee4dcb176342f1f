import assert from 'node:assert/strict';
import { formatRows, type Measured, plotOf, rowsOf } from '../../../../../lab/bench/bgp/report.ts';

const phase = (name: 'in' | 'out', sec: number) => ({
  ...{ name, sec, firstMs: 5, backlogMs: 0, cpuSec: 2 * sec, peakRssMib: 100 * sec },
});
const run = (inSec: number, outSec: number) => ({
  phases: [phase('in', inSec), phase('out', outSec)],
  answersMs: [],
  longestGapMs: Number.NaN,
});
const measured = (device: Measured['device'], more: Partial<Measured>): Measured => ({
  job: { name: 'one-1m', phases: [] },
  device,
  ...{ runs: [], fault: undefined, waitedSec: undefined, harnessSec: 0.1 },
  ...more,
});

describe('bench: the report on speakers', () => {
  it('gives medians and their ratios to BIRD', () => {
    const [ours, bird] = rowsOf([
      measured('ocicat', { runs: [run(0.5, 0.2), run(0.3, 0.4), run(0.4, 0.3)] }),
      measured('bird', { runs: [run(1.6, 1)] }),
    ]);
    assert.ok(ours && bird);
    assert.deepEqual([ours.inSec, ours.inToBird, ours.outSec, ours.runs], [0.4, 0.25, 0.3, 3]);
    assert.equal(bird.inToBird, 1);
  });

  it('says of a device without figures what became of it', () => {
    const text = formatRows(
      rowsOf([
        measured('gobgp', { fault: 'did not finish in 900 s: not all received', waitedSec: 900 }),
        measured('frr', { fault: 'after "in": 3 paths too few' }),
      ]),
    );
    assert.match(text, /^one-1m +gobgp +0 +did not finish in 900 s /m);
    assert.match(text, /^one-1m +frr +0 +failed /m);
    assert.match(text, /^one-1m, frr: after "in": 3 paths too few$/m);
  });

  it('says so in the picture too', () => {
    const rows = rowsOf([
      measured('bird', { runs: [run(1, 1)] }),
      measured('gobgp', { fault: 'did not finish in 900 s: not all received', waitedSec: 900 }),
      measured('frr', { fault: 'the session fell' }),
    ]);
    const bars = plotOf(rows, '').panels[0]?.groups[0]?.bars;
    assert.deepEqual(
      bars?.map(({ value, absence }) => [value, absence]),
      [
        [1, undefined],
        [undefined, '> 900 s'],
        [undefined, 'failed'],
      ],
    );
  });

  it('gives the longest silence of BFD and all its flaps', () => {
    const watched = (longestGapMs: number, flaps: number) => ({
      ...run(1, 1),
      longestGapMs: 1000,
      bfd: { longestGapMs, flaps },
    });
    const rows = rowsOf([measured('ocicat', { runs: [watched(310, 0), watched(905, 1)] })]);
    assert.deepEqual([rows[0]?.bfdGapMs, rows[0]?.bfdFlaps], [905, 1]);
    assert.match(formatRows(rows), /BFD gap ms +flaps\none-1m +ocicat +1000 +905 +1$/m);
  });
});

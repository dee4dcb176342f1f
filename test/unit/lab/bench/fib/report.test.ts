import assert from 'node:assert/strict';
import {
  adoptionsOf,
  formatAdoptions,
  formatRows,
  plotOf,
  rowsOf,
} from '../../../../../lab/bench/fib/report.ts';

const times = (addSec: number, deleteSec: number) => ({ addSec, deleteSec });

describe('bench: the FIB report', () => {
  it('gives medians and their ratios to the raw loop and to BIRD', () => {
    const rows = rowsOf(
      1000,
      new Map([
        ['raw', [times(1, 2), times(3, 4), times(2, 3)]],
        ['ocicat', [{ ...times(2.2, 3.3), cpuSec: 2, peakRssMib: 100 }]],
        ['bird', [times(10, 10)]],
        ['frr', []],
      ]),
      new Map([['frr', 'does not start']]),
    );
    const ocicat = rows.find(({ who }) => who === 'ocicat');
    assert.equal(ocicat?.addToRaw?.toFixed(2), '1.10');
    assert.equal(ocicat?.deleteToBird?.toFixed(2), '0.33');
    assert.equal(rows.find(({ who }) => who === 'frr')?.addToRaw, undefined);
    const text = formatRows(rows);
    assert.match(text, /^ocicat +1000 +2\.200 +1\.10 +0\.22 +3\.300 +1\.10 +0\.33 +2\.00 +100$/m);
    assert.match(text, /^frr \(failed\) +1000$/m);
  });

  it('sums the writes of adoptions and gives medians of the rest', () => {
    assert.deepEqual(adoptionsOf(5, []), []);
    const adoptions = adoptionsOf(5, [
      { readSec: 1, compareSec: 2, writes: 0 },
      { readSec: 3, compareSec: 4, writes: 7 },
    ]);
    assert.match(formatAdoptions(adoptions), /^5 routes +3\.000 +4\.000 +7\.000 +7$/m);
  });

  it('draws ratios to the raw loop by number of routes', () => {
    const results = new Map([
      ['raw', [times(1, 2)]],
      ['bird', [times(10, 8)]],
    ]);
    const { series, panels } = plotOf(
      [1000, 2000].flatMap((routes) => rowsOf(routes, results, new Map())),
      'note',
    );
    assert.deepEqual(series, ['raw', 'bird']);
    assert.deepEqual(panels[0]?.groups[1], {
      name: '2,000 routes',
      bars: [
        { value: 1, label: 'raw 1.000 s' },
        { value: 10, label: 'bird 10.000 s' },
      ],
    });
  });
});

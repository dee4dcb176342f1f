import assert from 'node:assert/strict';
import { formatRows, plotOf, rowOf } from '../../../../../lab/bench/failover/report.ts';

const sample = (gapMs: number, requests: number) => ({
  gapMs,
  afterDetectionMs: gapMs / 2,
  lost: gapMs * 4,
  requests,
  routesBefore: 0,
  tidySec: 0.25,
  backLost: 0,
  backSec: 1.5,
});

describe('bench: the failover report', () => {
  it('gives medians, and the worst of gaps and requests', () => {
    const row = rowOf(
      { family: 'ipv4', routes: 1000, cause: 'reset' },
      [sample(2, 1), sample(8, 2), sample(4, 1)],
      undefined,
    );
    assert.deepEqual([row.gapMs, row.gapMaxMs, row.lost, row.requestsMax], [4, 8, 16, 2]);
    assert.match(
      formatRows([row]),
      /^reset +ipv4 +1000 +4\.0 +8\.0 +2\.0 +4\.0 +16 +2 +0 +0\.25 +0 +1\.50$/m,
    );
  });

  it('says what failed', () => {
    assert.match(
      formatRows([rowOf({ family: 'ipv6', routes: 1000, cause: 'bfd' }, [], 'no BFD')]),
      /^bfd \(failed\) +ipv6 +1000$/m,
    );
  });

  it('draws a bar for each number of routes, and none where nothing was measured', () => {
    const of = (routes: number, gaps: readonly number[]) =>
      rowOf(
        { family: 'ipv6', routes, cause: 'reset' },
        gaps.map((gap) => sample(gap, 1)),
        undefined,
      );
    const { series, panels } = plotOf([of(10_000, [2, 8, 4]), of(500_000, [])], 'note');
    assert.deepEqual(series, ['10,000', '500,000']);
    assert.deepEqual(panels[0]?.figures, { line: 10 });
    assert.deepEqual(panels[0]?.groups, [
      {
        name: 'reset, IPv6',
        bars: [
          { value: 2, label: '10,000 routes 2.0 ms' },
          { value: undefined, label: '500,000 routes  ms' },
        ],
      },
    ]);
  });
});

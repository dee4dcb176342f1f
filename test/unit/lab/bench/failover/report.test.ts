import assert from 'node:assert/strict';
import { formatRows, rowOf } from '../../../../../lab/bench/failover/report.ts';

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
});

import assert from 'node:assert/strict';
import { formatDuration, formatSince } from '../../../../../src/cli/output/format.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('formatDuration', () => {
  for (const [ms, text] of [
    [-5, '00:00:00'],
    [0, '00:00:00'],
    [999, '00:00:00'],
    [59 * SECOND, '00:00:59'],
    [HOUR + 2 * MINUTE + 3 * SECOND, '01:02:03'],
    [DAY - 1, '23:59:59'],
    [DAY, '1d00h00m'],
    [3 * DAY + 4 * HOUR + 5 * MINUTE, '3d04h05m'],
    [7 * DAY - 1, '6d23h59m'],
    [7 * DAY, '1w00d00h'],
    [17 * DAY + 4 * HOUR, '2w03d04h'],
  ] as const) {
    it(`${ms} ms is ${text}`, () => assert.equal(formatDuration(ms), text));
  }
});

describe('formatSince', () => {
  it('is the span up to now, or never', () => {
    assert.equal(formatSince(undefined, 5000), 'never');
    assert.equal(formatSince(1000, 5000), '00:00:04');
    assert.equal(formatSince(6000, 5000), '00:00:00');
  });
});

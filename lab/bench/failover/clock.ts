/** One clock for all processes of a measurement: CLOCK_MONOTONIC, milliseconds with fractions. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Such a time of a moment that is known as epoch milliseconds. */
export function monotonicOf(epochMs: number): number {
  return monotonicMs() - (Date.now() - epochMs);
}

/** Damaged capture files: what reading them may come to. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CaptureError } from '../../../../bgp/capture/capture-error.ts';
import { captureFormat, readCapture } from '../../../../bgp/capture/read.ts';
import { DEFAULT_VERDICT_CONTEXT, verdictOf } from '../../../../bgp/wire/verdict.ts';

/** Cuts the files and changes octets of them: whatever still looks like the format ends in messages or in a CaptureError. */
export function assertSurvivesDamage(
  files: readonly Uint8Array[],
  format: ReturnType<typeof captureFormat>,
): void {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...files), changes, fc.nat(), (file, changed, cut) => {
      const damaged = file.slice(0, cut % (file.length + 1));
      for (const [at, value] of changed) damaged[at % Math.max(1, damaged.length)] = value;
      if (captureFormat(damaged) !== format) return;
      try {
        for (const item of readCapture(damaged, { port: 179, otherwise: DEFAULT_VERDICT_CONTEXT })) {
          if (item.kind === 'message') verdictOf(item.message, item.context);
        }
      } catch (error) {
        assert.ok(error instanceof CaptureError, String(error));
      }
    }),
    { numRuns: 500 },
  );
}

/**
 * Mocha's spec reporter that also writes `{"passed": N, "failed": N}` to the file named by OCICAT_TEST_COUNTS,
 * so that test/run.sh can add up the stages without reading what the tests print.
 */
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const file = process.env['OCICAT_TEST_COUNTS'];
      if (file === undefined) return;
      // A pending test is a test that did not run: it counts as failed, as `forbidPending` says.
      const failed = this.stats.failures + this.stats.pending;
      writeFileSync(file, `${this.stats.passes} ${failed}\n`);
    });
  }
}

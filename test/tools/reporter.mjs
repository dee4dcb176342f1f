/**
 * Mocha's spec reporter that also writes `{"passed": N, "failed": N}` to the file named by OCICAT_TEST_COUNTS,
 * so that test/run.sh can add up the stages without reading what the tests print.
 */
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const writeCounts = (unfinished) => {
      const file = process.env['OCICAT_TEST_COUNTS'];
      if (file === undefined) return;
      // A pending test is a test that did not run: it counts as failed, as `forbidPending` says.
      const failed = this.stats.failures + this.stats.pending + unfinished;
      writeFileSync(file, `${this.stats.passes} ${failed}\n`);
    };
    // test/run.sh ends a stage that takes too long: what has failed until then is told all the same.
    const giveUp = () => {
      console.log(`\n  ended while it ran: ${runner.test?.fullTitle() ?? runner.suite?.fullTitle() ?? ''}`);
      this.stats.duration ??= Date.now() - this.stats.start.getTime();
      this.epilogue();
      writeCounts(1);
      process.exit(1);
    };
    process.once('SIGTERM', giveUp);
    runner.once('end', () => {
      process.off('SIGTERM', giveUp);
      writeCounts(0);
    });
  }
}

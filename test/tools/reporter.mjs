/**
 * Mocha's spec reporter that also writes for test/run.sh, so that this need not read what the tests print:
 * `PASSED FAILED` to the file named by OCICAT_TEST_COUNTS, and each failure in a few lines (title, message, causes,
 * the first place of ours in the stack) at the end of the file named by OCICAT_TEST_FAILURES.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** An error's message, at most 12 lines of it, and its causes' below. */
function messages(error, depth = 0) {
  const text = String(error?.message ?? error)
    .split('\n')
    .slice(0, 12);
  const cause = error?.cause !== undefined && depth < 4 ? messages(error.cause, depth + 1) : [];
  return [...text, ...cause.map((line, at) => (at === 0 ? `because: ${line}` : line))];
}

/** A failure as it is shown once more at the end of the whole run. */
function summary(test, error) {
  const place = /\((?:file:\/\/)?(\S*\/test\/\S*)\)|at (?:file:\/\/)?(\S*\/test\/\S*)/.exec(
    error?.stack ?? '',
  );
  const lines = [
    test.fullTitle(),
    ...messages(error),
    ...(place === null ? [] : [`at ${place[1] ?? place[2]}`]),
  ];
  return lines.map((line, at) => (at === 0 ? line : `    ${line}`)).join('\n');
}

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const tellFailure = (text) => {
      const file = process.env['OCICAT_TEST_FAILURES'];
      if (file !== undefined) appendFileSync(file, `${text}\n`);
    };
    const writeCounts = (unfinished) => {
      const file = process.env['OCICAT_TEST_COUNTS'];
      if (file === undefined) return;
      // A pending test is a test that did not run: it counts as failed, as `forbidPending` says.
      const failed = this.stats.failures + this.stats.pending + unfinished;
      writeFileSync(file, `${this.stats.passes} ${failed}\n`);
    };
    // test/run.sh ends a stage that takes too long: what has failed until then is told all the same.
    const giveUp = () => {
      const title = runner.test?.fullTitle() ?? runner.suite?.fullTitle() ?? '';
      console.log(`\n  ended while it ran: ${title}`);
      tellFailure(`ended while it ran: ${title}`);
      this.stats.duration ??= Date.now() - this.stats.start.getTime();
      this.epilogue();
      writeCounts(1);
      process.exit(1);
    };
    process.once('SIGTERM', giveUp);
    runner.on('fail', (test, error) => tellFailure(summary(test, error)));
    runner.once('end', () => {
      process.off('SIGTERM', giveUp);
      writeCounts(0);
    });
  }
}

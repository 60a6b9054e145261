/** Ends a run with one plain line that any CI can read: `N passed, N failed`, and `, N skipped` if there were any. */
export default class ClosingLineReporter {
  onRunComplete(_contexts, results) {
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, numPendingTests, numTodoTests } = results;
    // A file that doesn't load has no failed test, yet has failed.
    const failed = numFailedTests + numRuntimeErrorTestSuites;
    const skipped = numPendingTests + numTodoTests;
    const line = `${numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
    // Jest prints its own summary after every other reporter is done.
    process.once('exit', () => process.stdout.write(`${line}\n`));
  }
}

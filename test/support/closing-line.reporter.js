import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** CI keeps the end of an output: all that failed has to fit in there, however much that is. */
const MAX_LINES = 50;
const MAX_LENGTH = 200;
const MAX_MESSAGE_LINES = 7;

/**
 * Ends a run with what failed, and with one plain line that any CI can read: `N passed, N failed`, and `, N skipped` if there
 * were any.
 */
export default class ClosingLineReporter {
  onRunComplete(_contexts, results) {
    const lines = closingLines(results, process.cwd());
    // Jest prints its own summary after every other reporter is done.
    process.once('exit', () => process.stdout.write(`${lines.join('\n')}\n`));
  }
}

export function closingLines(results, root) {
  const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, numPendingTests, numTodoTests } = results;
  // A file that doesn't load has no failed test, yet has failed.
  const failed = numFailedTests + numRuntimeErrorTestSuites;
  const skipped = numPendingTests + numTodoTests;
  const line = `${numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  return [...failureLines(results.testResults, root), line];
}

function failureLines(files, root) {
  const failures = files.flatMap((file) => failuresOf(file, root));
  const each = Math.max(1, Math.floor(MAX_LINES / failures.length));
  const lines = failures.slice(0, MAX_LINES).flatMap((failure) => failure.slice(0, each));
  if (failures.length > MAX_LINES) lines.push(`and ${failures.length - MAX_LINES} more`);
  return lines;
}

/** @returns for each failure its name, then what it says and where */
function failuresOf({ testFilePath, testExecError, testResults, failureMessage }, root) {
  const path = relative(root, testFilePath);
  if (testExecError)
    return [[`FAILED ${path}`, ...messageLines(failureMessage ?? String(testExecError.message), path)]];
  return testResults
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => [
      cut(`FAILED ${path}: ${fullName}`),
      ...messageLines(failureMessages.join('\n'), path),
    ]);
}

function messageLines(message, path) {
  const lines = stripVTControlCharacters(message).split('\n');
  const end = lines.findIndex((line) => /^\s+at /.test(line));
  const said = lines.slice(0, end === -1 ? lines.length : end).filter((line) => line.trim() !== '');
  const place = lines.find((line) => /^\s+at /.test(line) && line.includes(path));
  return [...said.slice(0, MAX_MESSAGE_LINES), ...(place ? [place.trim()] : [])].map((line) => `  ${cut(line.trim())}`);
}

const cut = (line) => (line.length <= MAX_LENGTH ? line : `${line.slice(0, MAX_LENGTH)}…`);

import { describe, expect, it } from '@jest/globals';

const { closingLines } = await import(new URL('closing-line.reporter.js', import.meta.url).pathname);

const failed = (fullName: string, message: string) => ({ status: 'failed', fullName, failureMessages: [message] });
const file = (name: string, testResults: object[], more: object = {}) => ({
  testFilePath: `/here/test/${name}.test.ts`,
  testResults,
  ...more,
});
const run = (testResults: object[], counts: object = {}) => ({
  numPassedTests: 7,
  numFailedTests: 0,
  numRuntimeErrorTestSuites: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults,
  ...counts,
});

describe('the end of a run of the tests', () => {
  it('is one line when nothing failed', () => {
    expect(closingLines(run([file('a', [{ status: 'passed' }])], { numPendingTests: 1 }), '/here')).toEqual([
      '7 passed, 0 failed, 1 skipped',
    ]);
  });

  it('names each failed test, what it says and where, and each file that does not load', () => {
    const message = [
      'Error: \u001B[2mexpect(\u001B[22mreceived).toBe(expected)',
      '',
      'Expected: 1',
      'Received: 2',
      '    at helper (/here/test/support/peer.ts:70:28)',
      '    at Object.<anonymous> (/here/test/a.test.ts:17:5)',
    ].join('\n');
    const files = [
      file('a', [failed('a room › tells', message), { status: 'passed' }]),
      file('b', [], {
        testExecError: { message: 'x' },
        failureMessage: '  ● Test suite failed to run\n\n    No such file',
      }),
    ];
    expect(closingLines(run(files, { numFailedTests: 1, numRuntimeErrorTestSuites: 1 }), '/here')).toEqual([
      'FAILED test/a.test.ts: a room › tells',
      '  Error: expect(received).toBe(expected)',
      '  Expected: 1',
      '  Received: 2',
      '  at Object.<anonymous> (/here/test/a.test.ts:17:5)',
      'FAILED test/b.test.ts',
      '  ● Test suite failed to run',
      '  No such file',
      '7 passed, 2 failed',
    ]);
  });

  it('stays short, however much failed', () => {
    const message = `Error: ${'x'.repeat(5_000)}\none\ntwo\n    at (/here/test/a.test.ts:1:1)`;
    const many = (count: number) =>
      closingLines(
        run([
          file(
            'a',
            Array.from({ length: count }, (_, n) => failed(`no ${n}`, message)),
          ),
        ]),
        '/here',
      );
    for (const count of [20, 50]) {
      const lines: string[] = many(count);
      expect(lines.length).toBeLessThanOrEqual(51);
      for (let n = 0; n < count; n++) expect(lines).toContain(`FAILED test/a.test.ts: no ${n}`);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(203);
    }
    expect(many(60).slice(-2)).toEqual(['and 10 more', '7 passed, 0 failed']);
  });
});

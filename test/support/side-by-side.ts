import { beforeAll, it } from '@jest/globals';

/** Takes what a scenario started, to be ended after it, the last one first. */
export type Ends = (end: () => unknown) => void;
type Scenario = (ends: Ends) => Promise<unknown>;

/** So many at a time: a process that starts more of them at once would be too busy for their times. */
const AT_ONCE = 5;

/**
 * Runs scenarios that mostly wait at the same time, and reports each as a test of its own. Each needs a Redis or a prefix of its
 * own. Not `it.concurrent()`: Jest refuses `import()` while one of them has ended and others run.
 * @returns in place of `it()`
 */
export function sideBySide(): (name: string, scenario: Scenario, timeoutMs?: number) => void {
  const waiting: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    const work = async (): Promise<void> => {
      for (let run = waiting.shift(); run; run = waiting.shift()) await run();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }, 600_000);
  return (name, scenario, timeoutMs = 120_000) => {
    let outcome: PromiseSettledResult<unknown> | undefined;
    waiting.push(async () => {
      [outcome] = await Promise.allSettled([within(timeoutMs, scenario)]);
    });
    it(name, () => {
      if (outcome?.status === 'rejected') throw outcome.reason;
    });
  };
}

async function within(timeoutMs: number, scenario: Scenario): Promise<void> {
  const started: (() => unknown)[] = [];
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It was not over after ${timeoutMs} ms.`)), timeoutMs);
  });
  try {
    await Promise.race([scenario((end) => started.push(end)), tooLate]);
  } finally {
    clearTimeout(timer);
    for (const end of started.toReversed()) await end();
  }
}

import { createInterface } from 'node:readline';

export interface Question {
  id: number;
  command: string;
  params: unknown;
}

export interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

/** Answers the commands that come as lines of JSON on stdin; stdin's end is the end of the process. */
export function answerLines(commands: Record<string, (params: unknown) => unknown>, greeting: object): void {
  const say = (answer: Answer): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const { id, command, params } = JSON.parse(line) as Question;
    try {
      const run = commands[command];
      if (!run) throw new Error(`There is no command "${command}".`);
      say({ id, result: (await run(params)) ?? null });
    } catch (error) {
      say({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  lines.on('close', () => process.exit());
  say({ id: 0, result: greeting });
}

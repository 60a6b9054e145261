import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A sample in a process of its own, as a person would run it. */
export interface RunningSample {
  /** The address in its log line; empty for a sample that serves none. */
  url: string;
  child: ChildProcess;
  /** Everything it has written so far. */
  output(): string;
  /** Resolves once the output has a match. Fails when the process ends, or after a minute and a half. */
  printed(pattern: RegExp): Promise<RegExpMatchArray>;
  /** SIGTERM, as a supervisor stops it; SIGKILL after 20 s. Says how it ended. */
  stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null; isForced: boolean }>;
}

const START_MS = 90_000;
const STOP_MS = 20_000;

/** Starts `dist-sample/<name>/main.js` on a free port of 127.0.0.1 and waits for the line that says it is ready. */
export async function startSample(
  name: string,
  env: Record<string, string> = {},
  ready: RegExp = /https?:\/\/\S+/,
): Promise<RunningSample> {
  const main = sampleMain(name);
  if (!existsSync(main)) throw new Error(`${main} is missing. Run "npm run build && npm run build:samples" first.`);
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, PORT: '0', HOST: '127.0.0.1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const sample = watch(child, name);
  try {
    const [url] = await sample.printed(ready);
    return { ...sample, url };
  } catch (error) {
    await sample.stop();
    throw error;
  }
}

const sampleMain = (name: string): string =>
  fileURLToPath(new URL(`../../dist-sample/${name}/main.js`, import.meta.url));

function watch(child: ChildProcess, name: string): Omit<RunningSample, 'url'> {
  let written = '';
  const looks = new Set<() => void>();
  const look = (): void => looks.forEach((one) => one());
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      written += text;
      look();
    });
  }
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  void exited.then(look);

  return {
    child,
    output: () => written,
    printed(pattern) {
      return new Promise((resolve, reject) => {
        const settle = (act: () => void): void => {
          clearTimeout(timer);
          looks.delete(one);
          act();
        };
        const fail = (why: string): void => settle(() => reject(new Error(`${name} ${why}. It wrote:\n${written}`)));
        const one = (): void => {
          const match = pattern.exec(written);
          if (match) settle(() => resolve(match));
          else if (child.exitCode !== null || child.signalCode !== null) fail(`ended before it printed ${pattern}`);
        };
        const timer = setTimeout(() => fail(`did not print ${pattern} in ${START_MS} ms`), START_MS);
        looks.add(one);
        one();
      });
    },
    async stop() {
      let isForced = false;
      const timer = setTimeout(() => {
        isForced = true;
        child.kill('SIGKILL');
      }, STOP_MS);
      child.kill('SIGTERM');
      const [code, signal] = await exited;
      clearTimeout(timer);
      return { code, signal, isForced };
    },
  };
}

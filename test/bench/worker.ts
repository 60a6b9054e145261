import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Answer } from './lines.js';

const LOADER = fileURLToPath(new URL('../support/ts-loader.mjs', import.meta.url));
const ANSWER_MS = 120_000;
const canPin = hasTaskset();

export interface WorkerOptions {
  /** The TypeScript file to run, beside this one. */
  file: string;
  /** Passed on the command line as JSON. */
  settings?: object;
  /** Pinned to this core, where the machine can. */
  core: number;
  env?: Record<string, string>;
  /** A runtime that reads TypeScript by itself, instead of this Node. */
  runtime?: string;
}

/** Cores: what is measured has the first to itself. */
export const MEASURED = 0;
export const OTHERS = 1;

/** This process too, and a Redis that it starts, keep off the core of what is measured. */
export function pinToOthers(): void {
  if (canPin) execFileSync('taskset', ['-cp', String(OTHERS), String(process.pid)], { stdio: 'ignore' });
}

/** A process of the benchmark, asked by lines of JSON. It ends with the process that started it. */
export class Worker {
  port = 0;
  pid = 0;
  #lastId = 0;
  #gone: Error | undefined;
  readonly #askers = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();

  private constructor(
    private readonly process: ChildProcess,
    private readonly name: string,
  ) {
    let stderr = '';
    process.stderr?.on('data', (data: Buffer) => (stderr = (stderr + data.toString()).slice(-4_000)));
    process.stdin?.on('error', () => undefined);
    createInterface({ input: process.stdout as NodeJS.ReadableStream }).on('line', (line) => this.#hear(line));
    process.once('error', (error) => this.#fail(error));
    process.once('close', (code, signal) => this.#fail(new Error(`${name} is gone (${code ?? signal}). ${stderr}`)));
  }

  static async start({ file, settings = {}, core, env, runtime }: WorkerOptions): Promise<Worker> {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const args = runtime ? [path] : ['--expose-gc', '--import', LOADER, path];
    const command = [runtime ?? process.execPath, ...args, JSON.stringify(settings)];
    const [first, ...rest] = canPin ? ['taskset', '-c', String(core), ...command] : command;
    const child = spawn(first as string, rest, { env: { PATH: process.env['PATH'], ...env } });
    const worker = new Worker(child, file);
    const { port, pid } = (await worker.#answer(0)) as { port: number; pid: number };
    return Object.assign(worker, { port, pid });
  }

  async ask<T>(command: string, params: unknown = {}): Promise<T> {
    const id = ++this.#lastId;
    const answer = this.#answer(id);
    this.process.stdin?.write(`${JSON.stringify({ id, command, params })}\n`);
    return (await answer) as T;
  }

  async stop(): Promise<void> {
    if (this.#gone) return;
    const closed = new Promise((resolve) => this.process.once('close', resolve));
    this.process.kill('SIGKILL');
    await closed;
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(this.#gone);
      const timer = setTimeout(() => reject(new Error(`${this.name} doesn't answer.`)), ANSWER_MS);
      this.#askers.set(id, {
        resolve: (result) => {
          clearTimeout(timer);
          resolve(result);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
  }

  #hear(line: string): void {
    if (!line.startsWith('{"id":')) return;
    const { id, result, error } = JSON.parse(line) as Answer;
    const asker = this.#askers.get(id);
    this.#askers.delete(id);
    if (error === undefined) asker?.resolve(result);
    else asker?.reject(new Error(`${this.name}: ${error}`));
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    for (const { reject } of this.#askers.values()) reject(this.#gone);
    this.#askers.clear();
  }
}

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['-c', '1', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

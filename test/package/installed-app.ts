import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
const EXIT_MS = 30_000;

const INSTALL_OPTIONS =
  '--prefer-offline --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error'.split(' ');
const NEST = ['common', 'core', 'platform-express', 'platform-fastify', 'platform-ws', 'websockets'];
const OTHER_DEPENDENCIES = [
  '@types/node@20',
  '@types/ws',
  'class-transformer',
  'class-validator',
  'reflect-metadata',
].concat(['rxjs', 'ws']);

/** An application's own: strict, and with other packages' declarations checked. */
const COMPILER_OPTIONS = {
  target: 'es2022',
  module: 'nodenext',
  lib: ['es2023', 'dom'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  skipDefaultLibCheck: true, // TypeScript's own
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  rootDir: 'src',
  outDir: 'out',
};

export type Format = 'esm' | 'cjs';

/** What npm and Node say of the process around a test is not for the applications it starts. */
const environment = Object.fromEntries(
  Object.entries({ ...process.env, NO_COLOR: '1' }).filter(
    ([name]) => !/^npm_(package|lifecycle)_|^npm_config_local_prefix$|^NODE_/.test(name),
  ),
);

/** A new folder outside the repository, where no `node_modules` of ours is found by accident. */
export async function newFolder(): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), 'pxl-package-')));
}

/** `npm pack` of the build, which is made first if `lib` has changed since. */
export async function packInto(folder: string): Promise<string> {
  const npm = ['pack', '--json', '--pack-destination', folder, ...((await isBuilt()) ? ['--ignore-scripts'] : [])];
  const { stdout } = await run('npm', npm, { cwd: ROOT });
  // `prepack` writes to the same output, before npm does.
  const [{ filename }] = JSON.parse(stdout.slice(stdout.search(/^\[/m))) as [{ filename: string }];
  return join(folder, filename);
}

/** Where the files of a tarball are, beside it. */
export async function unpack(tarball: string): Promise<string> {
  await run('tar', ['-xzf', tarball, '-C', dirname(tarball)]);
  return join(dirname(tarball), 'package');
}

async function isBuilt(): Promise<boolean> {
  const built = await stat(join(ROOT, 'dist/index.js')).catch(() => undefined);
  if (!built) return false;
  const sources = await readdir(join(ROOT, 'lib'), { recursive: true });
  const times = await Promise.all(sources.map(async (name) => (await stat(join(ROOT, 'lib', name))).mtimeMs));
  return Math.max(...times) < built.mtimeMs;
}

/** A fresh application: the tarball and one major of Nest from the registry, `app/` as an ES and a CommonJS module. */
export class InstalledApp {
  readonly #running = new Set<ChildProcess>();

  private constructor(readonly folder: string) {}

  static async install(tarball: string, nestMajor: number): Promise<InstalledApp> {
    const nest = NEST.map((name) => `@nestjs/${name}@^${nestMajor}.0.0`);
    return InstalledApp.installOnly([tarball, ...nest, ...OTHER_DEPENDENCIES]);
  }

  /** A folder with these packages, and what they bring by themselves. */
  static async installOnly(packages: string[]): Promise<InstalledApp> {
    const app = new InstalledApp(await newFolder());
    await writeJson(join(app.folder, 'package.json'), { private: true, dependencies: {} });
    await app.#run('npm', ['install', ...INSTALL_OPTIONS, ...packages]);
    return app;
  }

  /** Compiles `app/` both ways with this repository's TypeScript, and returns what it says about it and about us. */
  async compile(): Promise<string[]> {
    for (const [format, type] of Object.entries({ esm: 'module', cjs: 'commonjs' })) {
      await mkdir(join(this.folder, 'src', format), { recursive: true });
      await cp(join(import.meta.dirname, 'app'), join(this.folder, 'src', format), { recursive: true });
      await writeFile(join(this.folder, 'src', format, 'example.ts'), await readmeExample());
      await writeJson(join(this.folder, 'src', format, 'package.json'), { type });
      await mkdir(join(this.folder, 'out', format), { recursive: true });
      await writeJson(join(this.folder, 'out', format, 'package.json'), { type });
    }
    await writeJson(join(this.folder, 'tsconfig.json'), { compilerOptions: COMPILER_OPTIONS, include: ['src'] });
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const said = await this.#run(process.execPath, [tsc, '--pretty', 'false']).catch(
      (error: { stdout: string }) => error,
    );
    // Other packages' declarations are checked, too: their faults are not ours.
    return said.stdout.split('\n').filter((line) => /^(src|node_modules\/@scpxl)\/.*error TS/.test(line));
  }

  /** Runs a line of JavaScript in the folder and returns what it prints. */
  async evaluate(script: string): Promise<string> {
    return (await this.#run(process.execPath, ['--eval', script])).stdout.trim();
  }

  /** Runs a program of an installed package and returns its exit code and all that it prints. */
  async execute(file: string, ...args: string[]): Promise<{ exitCode: number; output: string }> {
    try {
      const { stdout, stderr } = await this.#run(process.execPath, [join('node_modules', file), ...args]);
      return { exitCode: 0, output: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { exitCode: code, output: stdout + stderr };
    }
  }

  async start(format: Format, file: 'example.js' | 'main.js'): Promise<RunningProcess> {
    const child = spawn(process.execPath, [join('out', format, file)], {
      cwd: this.folder,
      env: environment,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const closed = once(child, 'close') as Promise<[code: number | null]>;
    const port = await portOf(child.stdout);
    if (port === undefined) throw new Error(`The application ended with ${(await closed)[0]}: ${errors}`);
    return {
      port,
      async close() {
        child.stdin.end();
        const timer = setTimeout(() => child.kill('SIGKILL'), EXIT_MS);
        const [exitCode] = await closed;
        clearTimeout(timer);
        return { exitCode, errors };
      },
    };
  }

  async remove(): Promise<void> {
    for (const child of this.#running) child.kill('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }

  #run(command: string, args: string[]): Promise<{ stdout: string; stderr: string }> {
    return run(command, args, { cwd: this.folder, env: environment, maxBuffer: 2 ** 24 });
  }
}

export interface RunningProcess {
  port: number;
  /** Asks for `app.close()` and waits for the process to end by itself: `exitCode` is null if it had to be killed. */
  close(): Promise<{ exitCode: number | null; errors: string }>;
}

function writeJson(path: string, value: unknown): Promise<void> {
  return writeFile(path, JSON.stringify(value));
}

/** The README's example as a program that `start()` can drive: on a free port. */
async function readmeExample(): Promise<string> {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const [, example = ''] = /```ts\n(.*?NestFactory.*?)```/s.exec(readme) ?? [];
  const served = example.replace('await app.listen(3000);', "await app.listen(0, '127.0.0.1');\n  serve(app);");
  if (served === example) throw new Error("The README's first example doesn't end with app.listen(3000) any more.");
  return `import { serve } from './serve.js';\n${served}`;
}

/** The port that `serve()` tells; `undefined` if the output ends before. */
async function portOf(output: Readable): Promise<number | undefined> {
  const lines = createInterface(output);
  try {
    for await (const line of lines) {
      const [, port] = /^port (\d+)$/.exec(line) ?? [];
      if (port) return Number(port);
    }
    return undefined;
  } finally {
    // What nobody reads would keep the process from ending.
    output.resume();
  }
}

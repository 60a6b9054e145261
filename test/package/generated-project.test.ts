import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InstalledApp, newFolder, packInto } from './installed-app.js';

const INSTALL_MS = 180_000;
/** Nothing waits for it: it ends a compiler or a Jest that hangs, on a busy machine, too. */
const PROGRAM_MS = 180_000;
const FIXTURES = join(import.meta.dirname, '../fixtures');

/** What `nest new` of @nestjs/cli 11.0.24 installs for tests, with the oldest TypeScript of its range. */
const PACKAGES = ['common', 'core', 'platform-express', 'platform-ws', 'testing', 'websockets']
  .map((name) => `@nestjs/${name}@^11`)
  .concat(
    '@types/jest@^30',
    '@types/node@20',
    'jest@^30',
    'ts-jest@^29',
    'typescript@5.7',
    'typescript-5.4@npm:typescript@5.4',
    'reflect-metadata',
    'rxjs',
  );

/** `fixtures/nest-11` is as `nest new` wrote it; `fixtures/nest-11-routes` is what somebody adds to use this module. */
describe("a project of Nest 11's CLI", () => {
  let folder: string;
  let project: InstalledApp;

  beforeAll(async () => {
    folder = await newFolder();
    project = await InstalledApp.installOnly([await packInto(folder), ...PACKAGES]);
    for (const name of ['nest-11/src', 'nest-11-routes']) {
      await cp(join(FIXTURES, name), join(project.folder, 'src'), { recursive: true });
    }
    const configurations = ['package.json', 'tsconfig.json', 'tsconfig.build.json'];
    for (const name of configurations) await cp(join(FIXTURES, 'nest-11', name), join(project.folder, name));
  }, INSTALL_MS);

  afterAll(async () => {
    await project?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  it(
    'runs its tests with the generated Jest configuration',
    async () => {
      const { exitCode, output } = await project.execute('jest/bin/jest.js');
      expect(output).toMatch(/Tests: +3 passed, 3 total/);
      expect(exitCode).toBe(0);
    },
    PROGRAM_MS,
  );

  it(
    'compiles and starts, on one copy of the module',
    async () => {
      expect(await project.execute('typescript/bin/tsc', '-p', 'tsconfig.build.json')).toEqual({
        exitCode: 0,
        output: '',
      });
      const script = `
      const { AppModule } = require('./dist/app.module');
      const { NestFactory } = require('@nestjs/core');
      NestFactory.create(AppModule, { logger: false }).then(async (app) => {
        await app.listen(0, '127.0.0.1');
        const { WebSocketService } = await import('@scpxl/nestjs-websocket');
        console.log(app.get(WebSocketService) instanceof require('@scpxl/nestjs-websocket').WebSocketService);
        await app.close();
      });`;
      expect(await project.evaluate(script)).toBe('true');
    },
    PROGRAM_MS,
  );

  it.each([
    ['commonjs', 'node10'],
    ['node16', 'node16'],
    ['esnext', 'bundler'],
  ])(
    'compiles with TypeScript 5.4 as %s with the resolution %s, our declarations checked',
    async (module, moduleResolution) => {
      const { compilerOptions } = JSON.parse(await readFile(join(project.folder, 'tsconfig.json'), 'utf8')) as {
        compilerOptions: object;
      };
      const strict = { strict: true, strictPropertyInitialization: false, exactOptionalPropertyTypes: true };
      await writeFile(
        join(project.folder, 'tsconfig.strict.json'),
        JSON.stringify({
          compilerOptions: {
            ...compilerOptions,
            ...strict,
            target: 'es2022',
            types: ['node'],
            module,
            moduleResolution,
            resolvePackageJsonExports: moduleResolution !== 'node10',
            skipLibCheck: false,
            skipDefaultLibCheck: true, // TypeScript's own
            noEmit: true,
          },
          include: ['src'],
          exclude: ['**/*.spec.ts'],
        }),
      );
      const { output } = await project.execute(
        'typescript-5.4/bin/tsc',
        '-p',
        'tsconfig.strict.json',
        '--pretty',
        'false',
      );
      // Other packages' declarations are checked, too: their faults are not ours.
      expect(output.split('\n').filter((line) => /^(src|node_modules\/@scpxl)\/|^error/.test(line))).toEqual([]);
    },
    PROGRAM_MS,
  );
});

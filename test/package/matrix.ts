/**
 * What is too slow for every run: `npm run check:matrix` installs the package in a fresh folder and compiles the same code
 * with each TypeScript and each way to resolve modules, other packages' declarations checked, too.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InstalledApp, newFolder, packInto } from './installed-app.js';

const FIXTURES = join(import.meta.dirname, '../fixtures');
const VERSIONS = ['5.4', '5.5', '5.6', '5.7', '5.8', '5.9', '6.0'];
const SETTINGS = [
  ['commonjs', 'node10', 'commonjs'],
  ['node16', 'node16', 'commonjs'],
  ['node16', 'node16', 'module'],
  ['nodenext', 'nodenext', 'commonjs'],
  ['nodenext', 'nodenext', 'module'],
  ['esnext', 'bundler', 'module'],
  ['preserve', 'bundler', 'module'],
] as const;

const packed = await newFolder();
const nest = ['common', 'core', 'platform-ws', 'websockets'].map((name) => `@nestjs/${name}@^11`);
const compilers = VERSIONS.map((version) => `typescript-${version}@npm:typescript@${version}`);
const packages = [...nest, ...compilers, '@types/node@20', 'reflect-metadata', 'rxjs'];
const app = await InstalledApp.installOnly([await packInto(packed), ...packages]);
try {
  await cp(join(FIXTURES, 'nest-11-routes/chat.module.ts'), join(app.folder, 'src/chat.module.ts'));
  const base = JSON.parse(await readFile(join(FIXTURES, 'nest-11/tsconfig.json'), 'utf8')) as {
    compilerOptions: object;
  };
  for (const version of VERSIONS) for (const setting of SETTINGS) await compile(base.compilerOptions, version, setting);
} finally {
  await app.remove();
  await rm(packed, { recursive: true, force: true });
}

async function compile(
  base: object,
  version: string,
  [module, moduleResolution, type]: (typeof SETTINGS)[number],
): Promise<void> {
  const isOld = moduleResolution === 'node10';
  const compilerOptions = {
    ...base,
    baseUrl: undefined,
    target: 'es2022',
    types: ['node'],
    strict: true,
    strictPropertyInitialization: false,
    exactOptionalPropertyTypes: true,
    module,
    moduleResolution,
    resolvePackageJsonExports: isOld ? undefined : true,
    ignoreDeprecations: isOld && version.startsWith('6') ? '6.0' : undefined,
    skipLibCheck: false,
    noEmit: true,
    incremental: false,
  };
  await writeFile(join(app.folder, 'src/package.json'), JSON.stringify({ type }));
  await writeFile(join(app.folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  const { exitCode, output } = await app.execute(`typescript-${version}/bin/tsc`, '--pretty', 'false');
  console.log(`TypeScript ${version}, ${module}, ${moduleResolution}, type ${type}: ${exitCode === 0 ? 'ok' : output}`);
  if (exitCode !== 0) process.exitCode = 1;
}

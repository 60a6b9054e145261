// Before the first test, Jest has the programs of this folder compiled and bundled with all that they import. Tests start
// some hundred processes: without a bundle, each would take a second of processor time longer to start.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { transform } from '@swc/core';
import { rolldown } from 'rolldown';
import jest from '../../jest.config.js';

const root = join(import.meta.dirname, '../..');
/** Below `node_modules`, so that packages are found. */
const compiled = join(root, 'node_modules/.cache/compiled');
const bundled = join(root, 'node_modules/.cache/programs');
const PROGRAMS = ['child-main', 'cluster-node-main'];
const DAY_MS = 86_400_000;
const [, swcOptions] = jest.transform['\\.ts$'];

export default async function compile() {
  write(join(compiled, 'package.json'), '{ "type": "module" }');
  write(join(bundled, 'package.json'), '{ "type": "module" }');
  const changed = ['lib', 'test/support'].flatMap((folder) => sourcesIn(folder)).filter(isNewer);
  await Promise.all(changed.map(compileFile));
  if (changed.length > 0 || PROGRAMS.some((name) => timeOf(programOf(name)) < timeOf(targetOf(sourceOf(name)))))
    await bundle();
}

const sourcesIn = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join(folder, path));

const sourceOf = (program) => `test/support/${program}.ts`;
const targetOf = (source) => join(compiled, source.replace(/ts$/, 'js'));
const programOf = (name) => join(bundled, `${name}.js`);
const timeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function isNewer(source) {
  const mtimeMs = timeOf(targetOf(source));
  return [source, 'jest.config.js', 'package-lock.json'].some((file) => timeOf(join(root, file)) >= mtimeMs);
}

async function compileFile(source) {
  const filename = join(root, source);
  const { code } = await transform(readFileSync(filename, 'utf8'), { ...swcOptions, filename });
  write(targetOf(source), code);
}

/** The programs come last: another Jest may start them meanwhile, with the parts that they name. */
async function bundle() {
  const build = await rolldown({
    input: Object.fromEntries(PROGRAMS.map((name) => [name, targetOf(sourceOf(name))])),
    platform: 'node',
    treeshake: false,
    logLevel: 'silent', // packages that Nest could use are missing
  });
  const { output } = await build.generate({ format: 'esm', keepNames: true });
  await build.close();
  for (const { fileName, code } of output.toSorted((one, other) => one.isEntry - other.isEntry))
    write(join(bundled, fileName), code);
  for (const name of readdirSync(bundled))
    if (timeOf(join(bundled, name)) < Date.now() - DAY_MS) rmSync(join(bundled, name), { force: true });
}

/** In one step: another Jest may read it. */
function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text);
  renameSync(draft, path);
}

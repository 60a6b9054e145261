// Before the first test, Jest has the sources compiled for the processes that tests start: each of them would take two
// seconds of processor time to do it by itself.
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { transform } from '@swc/core';
import jest from '../../jest.config.js';

const root = join(import.meta.dirname, '../..');
/** Below `node_modules`, so that packages are found. */
const compiled = join(root, 'node_modules/.cache/compiled');
const [, swcOptions] = jest.transform['\\.ts$'];

export default async function compile() {
  write(join(compiled, 'package.json'), '{ "type": "module" }');
  const changed = ['lib', 'test/support'].flatMap((folder) => sourcesIn(folder)).filter(isNewer);
  await Promise.all(changed.map(compileFile));
}

const sourcesIn = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join(folder, path));

const targetOf = (source) => join(compiled, source.replace(/ts$/, 'js'));

function isNewer(source) {
  const { mtimeMs = 0 } = statSync(targetOf(source), { throwIfNoEntry: false }) ?? {};
  return [source, 'jest.config.js', 'package-lock.json'].some((file) => statSync(join(root, file)).mtimeMs >= mtimeMs);
}

async function compileFile(source) {
  const filename = join(root, source);
  const { code } = await transform(readFileSync(filename, 'utf8'), { ...swcOptions, filename });
  write(targetOf(source), code);
}

/** In one step: another Jest may read it. */
function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text);
  renameSync(draft, path);
}

import { fileURLToPath } from 'node:url';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** Jest has it done before its first test. */
let isBundled = process.env['JEST_WORKER_ID'] !== undefined;

/** From now on programs are started from their bundles, which takes a fraction of the processor time: see `compile.mjs`. */
export async function bundlePrograms(): Promise<void> {
  const { default: compile } = await import(new URL('compile.mjs', import.meta.url).href);
  await compile();
  isBundled = true;
}

/** The arguments of Node that run a program of this folder: bundled, or with our loader. */
export const argumentsFor = (name: string): string[] =>
  isBundled
    ? [pathOf(`../../node_modules/.cache/programs/${name}.js`)]
    : ['--import', pathOf('ts-loader.mjs'), pathOf(`${name}.ts`)];

import { fileURLToPath } from 'node:url';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** The arguments of Node that run a program of this folder: bundled in Jest, see `compile.mjs`, else with our loader. */
export const argumentsFor = (name: string): string[] =>
  process.env['JEST_WORKER_ID'] === undefined
    ? ['--import', pathOf('ts-loader.mjs'), pathOf(`${name}.ts`)]
    : [pathOf(`../../node_modules/.cache/programs/${name}.js`)];

/**
 * The second half of `npm run build`. From the ES modules and declarations of `dist` it makes `dist/cjs`: the same package
 * for loaders that can't read ES modules, such as Jest's. Node itself never loads it; see `exports` in package.json.
 */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const CJS = join(DIST, 'cjs');
const WS_TYPES = fileURLToPath(new URL('../node_modules/@types/ws', import.meta.url));
/** Packages without a CommonJS entry. They become part of ours. */
const INLINED = ['jose'];

await ownWsTypes();
await copyDeclarations();
await bundle();

/** All entries in one go: what they share, such as the error classes, goes into one file that they require. */
async function bundle() {
  const build = await rolldown({
    input: {
      index: join(DIST, 'index.js'),
      'client/browser': join(DIST, 'client/browser.js'),
      'client/react': join(DIST, 'client/react.js'),
    },
    external: (id) => /^[^./]/.test(id) && !INLINED.includes(id),
    platform: 'node',
  });
  await build.write({
    dir: CJS,
    format: 'cjs',
    chunkFileNames: '[name].js',
    keepNames: true,
    // Jest can't import() either.
    dynamicImportInCjs: false,
  });
  await build.close();
}

/** The text of a declaration is right for both formats. TypeScript reads the format in the next package.json. */
async function copyDeclarations() {
  for (const file of await declarations()) {
    await mkdir(dirname(join(CJS, file)), { recursive: true });
    await cp(join(DIST, file), join(CJS, file));
  }
  await writeFile(join(CJS, 'package.json'), '{ "type": "commonjs" }\n');
  await cp(join(WS_TYPES, 'index.d.ts'), join(CJS, 'vendor/ws.d.ts'));
}

/**
 * `ws` has no types, and @types/ws as a dependency would bring those of Node (3 MB) into every front end that uses the
 * client. So the declarations travel with ours.
 */
async function ownWsTypes() {
  for (const file of await declarations()) {
    const text = await readFile(join(DIST, file), 'utf8');
    const path = relative(dirname(file), 'vendor/ws.js');
    await writeFile(
      join(DIST, file),
      text.replaceAll(/(?<=from )'ws'/g, `'${path.startsWith('.') ? path : `./${path}`}'`),
    );
  }
  await mkdir(join(DIST, 'vendor'), { recursive: true });
  await cp(join(WS_TYPES, 'index.d.mts'), join(DIST, 'vendor/ws.d.ts'));
  await cp(join(WS_TYPES, 'LICENSE'), join(DIST, 'vendor/ws.LICENSE'));
}

async function declarations() {
  const files = await readdir(DIST, { recursive: true });
  return files.filter((file) => file.endsWith('.d.ts') && !file.startsWith('cjs'));
}

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, it } from '@jest/globals';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

// The goal is 12 KiB. Above it are, gzipped: sentences of errors (1.1 KB), which say what to do, exported codes and names (0.5 KB),
// streams (0.4 KB) and presence (0.3 KB). Nothing else is left to take away: rolldown, terser and esbuild differ by 1 %, a shorter
// name of a property saves 3 bytes, and loading a part later would give a page on a bad network one more thing that can fail.
it('keeps the client for browsers below 12.9 KiB, minified and gzipped', () => {
  const code = execFileSync(process.execPath, [
    '--import',
    pathOf('../support/ts-loader.mjs'),
    pathOf('./browser-bundle.ts'),
  ]);
  expect(code.toString()).toContain('connectToServer');
  expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(12.9 * 1_024);
});

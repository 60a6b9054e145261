import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, it } from '@jest/globals';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

it('keeps the client for browsers below 14 KiB, minified and gzipped', () => {
  const code = execFileSync(process.execPath, [
    '--import',
    pathOf('../support/ts-loader.mjs'),
    pathOf('./browser-bundle.ts'),
  ]);
  expect(code.toString()).toContain('connectToServer');
  expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(14 * 1_024);
});

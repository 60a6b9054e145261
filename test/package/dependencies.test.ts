import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const read = (path: string) =>
  JSON.parse(readFileSync(path, 'utf8')) as { version: string; dependencies: Record<string, string> };

/** CVE-2026-48779 is mended there. */
const SAFE = [8, 21, 0];

const isSafe = (version: string): boolean => {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  return major === SAFE[0] && (minor > SAFE[1]! || (minor === SAFE[1] && patch >= SAFE[2]!));
};

describe('R13: ws is at least 8.21.0', () => {
  it('as it is installed', () => {
    expect(isSafe(read(require.resolve('ws/package.json')).version)).toBe(true);
  });

  it('as our range can resolve it', () => {
    const range = read(new URL('../../package.json', import.meta.url).pathname).dependencies['ws'] ?? '';
    // A caret or a tilde never goes below the version behind it; any other range would need another test.
    expect(range).toMatch(/^[~^]\d+\.\d+\.\d+$/);
    expect(isSafe(range.slice(1))).toBe(true);
  });

  it('as the lock file holds it for us', () => {
    const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
      packages: Record<string, { version: string }>;
    };
    expect(isSafe(lock.packages['node_modules/ws']?.version ?? '')).toBe(true);
  });
});

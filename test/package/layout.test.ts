import { expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';

const ALLOWED =
  'README.md LICENSE CHANGELOG.md SECURITY.md package.json package-lock.json ' +
  'tsconfig.json tsconfig.build.json nest-cli.json jest.config.js knip.json docs lib sample test';

it('keeps the top level of the repository to what a newcomer expects there', () => {
  const tracked = execFileSync('git', ['ls-tree', '--name-only', 'HEAD'], {
    cwd: resolve(import.meta.dirname, '../..'),
    encoding: 'utf8',
  });
  const surprising = tracked
    .split('\n')
    .filter((name) => name && !name.startsWith('.') && !ALLOWED.split(' ').includes(name));
  expect(surprising).toEqual([]);
});

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Where a run leaves what it makes. */
export const OUT = `${ROOT}node_modules/.cache/bench`;

/** The module as it would be published, in a folder of the benchmark's own: others may be at work with dist. */
export function buildOurs(): string {
  mkdirSync(OUT, { recursive: true });
  const outDir = `${OUT}/dist`;
  execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json', '--outDir', outDir], { cwd: ROOT, stdio: 'inherit' });
  writeFileSync(`${OUT}/package.json`, '{ "type": "module" }\n');
  return `${outDir}/index.js`;
}

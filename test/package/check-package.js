/** Packs the built package into a temporary folder and lets publint and attw judge the tarball. Needs `npm run build`. */
import { execSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'pxl-package-'));
try {
  const [{ filename }] = JSON.parse(run(`npm pack --json --ignore-scripts --pack-destination "${folder}"`, 'pipe'));
  const tarball = join(folder, filename);
  run(`publint run --strict "${tarball}"`);
  run(`attw --format ascii "${tarball}"`);
} catch (error) {
  // The tool has said what is wrong; a stack trace of this script would bury it.
  process.exitCode = error.status ?? 1;
  if (error.status === undefined) console.error(error);
} finally {
  rmSync(folder, { recursive: true });
}

function run(command, stdout = 'inherit') {
  return execSync(command, { encoding: 'utf8', stdio: ['ignore', stdout, 'inherit'] });
}

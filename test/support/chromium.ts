import { accessSync, constants } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

/** Nothing that talks to the network by itself, and nothing that asks questions. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const NOT_FOUND = 'No Chromium was found. Install it, or set CHROMIUM_PATH to its path.';

/**
 * The path of an installed Chromium: `CHROMIUM_PATH`, else where Debian puts it. `undefined` when there is none.
 * @throws when there is none and `REQUIRE_CHROMIUM` is set, as in CI, where nothing may be skipped
 */
export function findChromium(): string | undefined {
  const found = [process.env['CHROMIUM_PATH'], '/usr/bin/chromium'].find((path) => path && isExecutable(path));
  if (!found && process.env['REQUIRE_CHROMIUM']) throw new Error(NOT_FOUND);
  return found;
}

/** A headless Chromium; whoever launches it closes it. Ask `findChromium()` first whether there is one. */
export function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (!executablePath) throw new Error(NOT_FOUND);
  return chromium.launch({ executablePath, args: ARGUMENTS, headless: true });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/**
 * 12 KiB. So much less would the bundle have without each part, gzipped: connecting, reconnecting and signs of life 2,800; rooms
 * 2,300, presence 400 more; errors 1,400; options, their checks and defaults 600; the queue 580; exported codes 540; reading
 * frames 450; streams 320. Idioms that repeat cost nothing, gzipped: a helper, or a closure for a class with private fields,
 * saves no byte; texts and new names do. Rolldown, terser and esbuild differ by up to 3 %.
 */
export const MAX_BYTES = 12_288;

/** How much the client for browsers takes, minified and gzipped, with everything that it exports. */
export function browserSizeOf(entry: string): number {
  const bundler = ['--import', pathOf('../support/ts-loader.mjs'), pathOf('./browser-bundle.ts'), entry];
  const code = execFileSync(process.execPath, bundler).toString();
  if (!code.includes('connectToServer')) throw new Error(`${entry} makes no bundle of the client.`);
  return gzipSync(code, { level: 9 }).length;
}

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/**
 * The goal is 12 KiB. What is above it are parts that an application would miss. So much less would the bundle have without each,
 * gzipped: connecting, reconnecting and signs of life 2,900; rooms 2,300, presence 400 more; sentences of errors 970, their classes
 * 750; options, their checks and defaults 710; the queue 560; exported codes 540; reading frames 470; streams 330. Idioms that
 * repeat cost nothing, gzipped: a helper in their place saves no byte. Two parts merged into one save 20 to 100. Rolldown, terser
 * and esbuild differ by 1 %, and so do the gzip of Node and that of GNU.
 */
export const MAX_BYTES = 12.9 * 1_024;

/** How much the client for browsers takes, minified and gzipped, with everything that it exports. */
export function browserSizeOf(entry: string): number {
  const bundler = ['--import', pathOf('../support/ts-loader.mjs'), pathOf('./browser-bundle.ts'), entry];
  const code = execFileSync(process.execPath, bundler).toString();
  if (!code.includes('connectToServer')) throw new Error(`${entry} makes no bundle of the client.`);
  return gzipSync(code, { level: 9 }).length;
}

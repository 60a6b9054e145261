import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { browserSizeOf, MAX_BYTES } from './browser-size.js';

// The sources, so that no build is needed. test/package measures what is shipped: to the byte the same.
it('keeps the client for browsers within 12,288 bytes, minified and gzipped', () => {
  const entry = fileURLToPath(new URL('../../lib/client/browser.ts', import.meta.url));
  expect(browserSizeOf(entry)).toBeLessThanOrEqual(MAX_BYTES);
});

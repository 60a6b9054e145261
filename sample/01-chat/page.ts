import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';

/** Straight from the sources: a page without a build. From `dist-sample/01-chat` or `sample/01-chat`, whichever runs. */
const PUBLIC = new URL('../../sample/01-chat/public/', import.meta.url);
/** The package's own browser client, wherever the package is. */
const PACKAGE = new URL('../', import.meta.resolve('@scpxl/nestjs-websocket/client'));
/** What `client/browser.js` imports, directly or not. */
const CLIENT_FILES = /^\/(client\/|protocol\/|(errors|pending-requests)\.js$)/;

/** Serves the page at `/`, and below `/pxl/` the client that its import map names. */
export async function servePage(app: NestFastifyApplication): Promise<void> {
  const headers = Object.entries({
    'content-security-policy': await contentSecurityPolicy(),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  });
  const setHeaders = (reply: { header(name: string, value: string): unknown }): void => {
    for (const [name, value] of headers) reply.header(name, value);
  };
  await app.register(fastifyStatic, { root: fileURLToPath(PUBLIC), setHeaders });
  await app.register(fastifyStatic, {
    root: fileURLToPath(PACKAGE),
    prefix: '/pxl/',
    decorateReply: false,
    allowedPath: (path) => CLIENT_FILES.test(path),
    setHeaders,
  });
}

/** Nothing but our own files runs. The import map has to stand in the page itself, so it is let in by its hash. */
async function contentSecurityPolicy(): Promise<string> {
  const html = await readFile(new URL('index.html', PUBLIC), 'utf8');
  const importMap = /<script type="importmap">([^]*?)<\/script>/.exec(html)?.[1] ?? '';
  const hash = createHash('sha256').update(importMap).digest('base64');
  return [
    "default-src 'self'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

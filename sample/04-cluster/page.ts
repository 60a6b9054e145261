import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';

/** From `dist-sample/04-cluster` or `sample/04-cluster`, whichever runs. */
const SAMPLES = new URL('../../sample/', import.meta.url);
/** The package's own browser client, wherever the package is. */
const PACKAGE = new URL('../', import.meta.resolve('@scpxl/nestjs-websocket/client'));
/** What `client/browser.js` imports, directly or not. */
const CLIENT_FILES = /^\/(client\/|protocol\/|(errors|pending-requests)\.js$)/;
/** What the pages have in common with the chat's, at paths that a relative import finds in the sources, too. */
const CHAT_FILES = /^\/(css\/base\.css|js\/(dom|sentences)\.js|icon\.svg)$/;

/**
 * Serves the page of a sample at `/`, what it shares with the chat's page, and below `/pxl/` the client that its import map
 * names.
 * @param connectTo where its scripts may connect to besides the page's own address
 */
export async function servePage(app: NestFastifyApplication, sample: string, connectTo = ''): Promise<void> {
  const page = new URL(`${sample}/public/`, SAMPLES);
  const headers = Object.entries({
    'content-security-policy': await contentSecurityPolicy(page, connectTo),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  });
  const setHeaders = (reply: { header(name: string, value: string): unknown }): void => {
    for (const [name, value] of headers) reply.header(name, value);
  };
  const serve = (root: URL, prefix: string, files?: RegExp): Promise<unknown> =>
    Promise.resolve(
      app.register(fastifyStatic, {
        root: fileURLToPath(root),
        prefix,
        decorateReply: prefix === '/',
        setHeaders,
        ...(files && { allowedPath: (path: string) => files.test(path) }),
      }),
    );
  await serve(page, '/');
  await serve(new URL('01-chat/public/', SAMPLES), '/01-chat/public/', CHAT_FILES);
  await serve(PACKAGE, '/pxl/', CLIENT_FILES);
}

/** Nothing but our own files runs. The import map has to stand in the page itself, so it is let in by its hash. */
async function contentSecurityPolicy(page: URL, connectTo: string): Promise<string> {
  const html = await readFile(new URL('index.html', page), 'utf8');
  const importMap = /<script type="importmap">([^]*?)<\/script>/.exec(html)?.[1] ?? '';
  const hash = createHash('sha256').update(importMap).digest('base64');
  return [
    "default-src 'self'",
    `script-src 'self' 'sha256-${hash}'`,
    `connect-src 'self' ${connectTo}`.trim(),
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

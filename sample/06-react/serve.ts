import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { rolldown } from 'rolldown';

/** From the sources, whether this runs from `dist-sample/06-react` or `sample/06-react`. */
const FOLDER = new URL('../../sample/06-react/', import.meta.url);

/** Serves the page, and its script with React and the client in it. */
export async function servePage(app: NestFastifyApplication): Promise<void> {
  const [html, script] = await Promise.all([readFile(new URL('public/index.html', FOLDER), 'utf8'), bundle()]);
  const fastify = app.getHttpAdapter().getInstance();
  fastify.get('/', (_request, reply) => reply.type('text/html').send(html));
  fastify.get('/app.js', (_request, reply) => reply.type('text/javascript').send(script));
}

async function bundle(): Promise<string> {
  const build = await rolldown({
    input: fileURLToPath(new URL('app.tsx', FOLDER)),
    platform: 'browser',
    transform: { define: { 'process.env.NODE_ENV': '"production"' } },
  });
  const { output } = await build.generate({ format: 'esm', minify: true });
  await build.close();
  return output[0].code;
}

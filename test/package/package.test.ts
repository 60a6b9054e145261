import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WebSocket } from 'ws';
import { browserSizeOf, MAX_BYTES } from '../client/browser-size.js';
import { Peer } from '../support/peer.js';
import { type Format, InstalledApp, newFolder, packInto, type RunningProcess, unpack } from './installed-app.js';

interface Manifest {
  exports: { './client': { default: { default: string } } };
}

/** npm fetches a whole Nest. */
const INSTALL_MS = 180_000;

describe('the package', () => {
  let folder: string;
  let tarball: string;
  let unpacked: string;

  beforeAll(async () => {
    folder = await newFolder();
    tarball = await packInto(folder);
    unpacked = await unpack(tarball);
  }, INSTALL_MS);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('holds the build, the licence and the changelog, and neither tests, samples, sources nor maps', async () => {
    const allowed = ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'package.json'];
    expect((await readdir(unpacked)).filter((name) => !allowed.includes(name))).toEqual([]);
    const built = await readdir(join(unpacked, 'dist'), { recursive: true, withFileTypes: true });
    const files = built.filter((entry) => entry.isFile()).map(({ name }) => name);
    expect(files).toContain('index.js');
    const others = files.filter((name) => !/\.(js|d\.ts)$/.test(name) || name.includes('.test.'));
    expect(others.toSorted()).toEqual(['package.json', 'ws.LICENSE']);
    expect(await readFile(join(unpacked, 'dist/index.js'), 'utf8')).not.toContain('sourceMappingURL');
  });

  it.each(['dist/client/browser.js', 'dist/cjs/client/browser.js'])(
    'has a browser entry that reaches for no package and no module of Node: %s',
    async (file) => {
      expect(await bareImports(join(unpacked, file))).toEqual([]);
    },
  );

  it('has a browser entry of at most 12,288 bytes, minified and gzipped', async () => {
    const { exports } = JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')) as Manifest;
    expect(browserSizeOf(join(unpacked, exports['./client'].default.default))).toBeLessThanOrEqual(MAX_BYTES);
  });

  it('requires nothing in its CommonJS build that is an ES module only', async () => {
    const imports = await bareImports(join(unpacked, 'dist/cjs/index.js'));
    expect(imports.map((line) => line.slice(line.indexOf(': ') + 2))).toContain('limiter');
    expect(imports.filter((line) => line.endsWith(': jose'))).toEqual([]);
  });

  describe('installed for its client alone', () => {
    let frontEnd: InstalledApp;

    beforeAll(async () => {
      frontEnd = await InstalledApp.installOnly([tarball]);
    }, INSTALL_MS);

    afterAll(() => frontEnd?.remove());

    it('brings neither Nest nor types of Node', async () => {
      const packages = await readdir(join(frontEnd.folder, 'node_modules'));
      expect(packages.filter((name) => !name.startsWith('.')).toSorted()).toEqual([
        '@fastify',
        '@scpxl',
        'cookie',
        'ipaddr.js',
        'jose',
        'limiter',
        'ws',
      ]);
    });

    it('has a client that works so', async () => {
      const script = `const { WebSocketClient } = require('@scpxl/nestjs-websocket/client');
        import('@scpxl/nestjs-websocket/client').then((it) => console.log(it.WebSocketClient === WebSocketClient));`;
      expect(await frontEnd.evaluate(script)).toBe('true');
    });

    it('names the package that an application lacks', async () => {
      await expect(frontEnd.evaluate("require('@scpxl/nestjs-websocket')")).rejects.toThrow(
        /Cannot find package '@nestjs\/[a-z-]+' imported from .*@scpxl\/nestjs-websocket/,
      );
    });
  });

  describe.each([12, 11])('installed beside Nest %i', (major) => {
    let installed: InstalledApp;
    let complaints: string[];

    beforeAll(async () => {
      installed = await InstalledApp.install(tarball, major);
      complaints = await installed.compile();
    }, INSTALL_MS);

    afterAll(() => installed?.remove());

    it('brings no second copy of what it shares with the application', () => {
      const home = join(installed.folder, 'node_modules/@scpxl/nestjs-websocket');
      expect(existsSync(join(home, 'package.json'))).toBe(true);
      expect(existsSync(join(home, 'node_modules'))).toBe(false);
    });

    it('has types that an ES and a CommonJS application compile against, its own declarations checked', () => {
      expect(complaints).toEqual([]);
    });

    it('gives require() and import the same classes, which are the injection tokens', async () => {
      const differences = await installed.evaluate(`
        const required = require('@scpxl/nestjs-websocket');
        import('@scpxl/nestjs-websocket').then((imported) => {
          const names = Object.keys(imported);
          console.log(names.includes('WebSocketServer'), names.filter((name) => imported[name] !== required[name]).length);
        });`);
      expect(differences).toBe('true 0');
    });

    describe.each<Format>(['esm', 'cjs'])('in an application as %s', (format) => {
      it("runs the README's ten lines", async () => {
        const app = await installed.start(format, 'example.js');
        const peer = await Peer.open(`ws://127.0.0.1:${app.port}/ws`);
        expect(peer.clientId).not.toBe('');
        const reply = await peer.request('chat', 'send', { text: 'hi' });
        expect(reply.response).toEqual({ from: peer.clientId, text: 'hi' });
        expect((await peer.request('chat', 'unknown')).data.code).toBe('UNKNOWN_ROUTE');
        peer.terminate();
        expect(await app.close()).toEqual({ exitCode: 0, errors: '' });
      });

      describe('with all of Nest around its routes', () => {
        let app: RunningProcess;
        let peer: Peer;

        beforeAll(async () => {
          app = await installed.start(format, 'main.js');
          peer = await Peer.open(`ws://127.0.0.1:${app.port}/live`);
        });

        it('handles a frame only after handleConnection has finished', async () => {
          const early = await Peer.open(`ws://127.0.0.1:${app.port}/live`, { isRaw: true });
          expect((await early.request('pipeline', 'ready')).response).toBe(true);
          early.terminate();
        });

        it('validates, and delivers to the members of a room', async () => {
          const member = await Peer.open(`ws://127.0.0.1:${app.port}/live`);
          await member.join('lobby');
          await peer.join('lobby');
          expect((await peer.request('pipeline', 'say', { roomName: 'lobby', text: 'hi' })).response).toBeNull();
          expect((await member.next('pipeline', 'said')).data).toEqual({
            from: peer.clientId,
            text: 'hi',
            isDto: true,
          });
          member.terminate();
        });

        it('says which fields did not pass validation', async () => {
          const { data } = await peer.request('pipeline', 'say', { roomName: 'lobby', text: 'too long' });
          expect(data.code).toBe('VALIDATION_FAILED');
          expect(data.details).toEqual(['text must be shorter than or equal to 5 characters']);
        });

        it('asks the guards of the method and of the application', async () => {
          expect((await peer.request('pipeline', 'guarded')).data.code).toBe('FORBIDDEN');
          expect((await peer.request('pipeline', 'banned')).data.code).toBe('FORBIDDEN');
        });

        it('streams an Observable through an interceptor', async () => {
          peer.send('pipeline', 'stream', undefined, 's');
          const frames = [];
          do frames.push(await peer.take((frame) => frame.id === 's'));
          while (!frames.at(-1).done);
          expect(frames.map(({ response, more, done }) => response ?? { more, done })).toEqual([
            'ONE',
            'TWO',
            { done: true },
          ]);
        });

        it('replies with what a filter returns, and never with what an error says', async () => {
          const { response } = await peer.request('pipeline', 'filtered', { cup: 1 });
          expect(response).toEqual({ teapot: 'ws', data: { cup: 1 } });
          const { data } = await peer.request('pipeline', 'broken');
          expect(data.code).toBe('INTERNAL');
          expect(JSON.stringify(data)).not.toContain('secret');
        });

        it('makes request-scoped providers anew for each message', async () => {
          expect((await peer.request('scoped', 'next')).response).toBe(1);
          expect((await peer.request('scoped', 'next')).response).toBe(1);
        });

        it('runs a stock gateway on its own server, and leaves another path to Nest', async () => {
          expect((await peer.request('shared', 'echo', 'hi')).response).toEqual({ echo: 'hi', readyState: 1 });
          const stock = new WebSocket(`ws://127.0.0.1:${app.port}/stock`);
          await once(stock, 'open');
          stock.send(JSON.stringify({ event: 'echo', data: 'hi' }));
          const [message] = (await once(stock, 'message')) as [Buffer];
          expect(JSON.parse(message.toString())).toEqual({ event: 'echo', data: 'hi' });
          stock.terminate();
        });

        it('tells its clients of the restart, and then nothing keeps the process alive', async () => {
          const ended = app.close();
          expect((await peer.closed).code).toBe(1012);
          const { exitCode, errors } = await ended;
          expect(exitCode).toBe(0);
          // The handler that broke is told of once; there is no other error or warning.
          expect(errors.match(/ (ERROR|WARN) .*/g)).toEqual([expect.stringContaining('a secret')]);
        });
      });
    });
  });
});

/** Everything a module and the modules it imports take from elsewhere than the package itself. */
async function bareImports(path: string, seen = new Set<string>()): Promise<string[]> {
  if (seen.has(path)) return [];
  seen.add(path);
  const source = await readFile(path, 'utf8');
  const statements = source.matchAll(/^(?:import|export) .*?from '([^']+)'|^import '([^']+)'|\brequire\("([^"]+)"\)/gm);
  const targets = [...statements].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
  const found = targets.map(async (target) =>
    target.startsWith('.') ? bareImports(join(dirname(path), target), seen) : [`${path}: ${target}`],
  );
  return (await Promise.all(found)).flat();
}

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ChildApp } from '../support/child.js';

const SCRIPT = fileURLToPath(new URL('independent_peer.py', import.meta.url));
const CHECKS = [
  'greeting',
  'request_and_reply',
  'unicode_text',
  'binary_frame',
  'fragments',
  'client_pings',
  'server_pings',
  'unanswered_ping',
  'payload_limit',
  'bad_utf8',
  'bad_frames',
  'close_handshake',
  'close_without_code',
  'many_in_order',
  'subprotocol',
  'compression_offered',
];

// Debian's package belongs to Debian's interpreter, which need not be the first on the PATH.
const python = ['/usr/bin/python3', 'python3'].find(
  (name) => spawnSync(name, ['-c', 'import websockets.client']).status === 0,
);
const isRequired = process.env['REQUIRE_PYTHON_WEBSOCKETS'] === '1';
if (!python && !isRequired) console.warn('python3-websockets is not installed: its tests are skipped.');

(python || isRequired ? describe : describe.skip)(
  'R1: a peer that shares no code with the server (python3-websockets)',
  () => {
    describe.each([
      ['without compression', 'fast-pings', []],
      ['with compression', 'fast-pings-compressed', ['compressed']],
    ] as const)('%s', (_, scenario, flags) => {
      let app: ChildApp;
      let results: Record<string, string>;
      beforeAll(async () => {
        if (!python) throw new Error('REQUIRE_PYTHON_WEBSOCKETS=1, but no python3 can import websockets. Install it.');
        app = await ChildApp.start(scenario);
        const { stdout } = await promisify(execFile)(python, [SCRIPT, app.url, ...flags], { timeout: 110_000 });
        results = JSON.parse(stdout);
      });
      afterAll(() => app?.stop());

      it.each(CHECKS)('%s', (check) => expect(results[check]).toBe('ok'));

      it('ran every test of the peer, and left no client behind', async () => {
        expect(Object.keys(results)).toEqual(CHECKS);
        expect((await app.untilStats(({ clients }) => clients === 0)).errors).toEqual([]);
      });
    });
  },
);

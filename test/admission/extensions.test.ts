import { afterEach, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

describe('an offer of compression', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  const DEFLATE = 'permessage-deflate';

  it.each<[options: object | boolean, offer: string, accepted: string | undefined]>([
    [true, DEFLATE, DEFLATE],
    [{ serverMaxWindowBits: 12 }, DEFLATE, `${DEFLATE}; server_max_window_bits=12`],
    [{ serverMaxWindowBits: 12 }, `${DEFLATE}; server_max_window_bits=15`, `${DEFLATE}; server_max_window_bits=12`],
    [{ serverMaxWindowBits: 12 }, `${DEFLATE}; server_max_window_bits=10`, undefined],
    [
      { serverMaxWindowBits: 12 },
      `${DEFLATE}; server_max_window_bits=10, ${DEFLATE}`,
      `${DEFLATE}; server_max_window_bits=12`,
    ],
    [{ serverMaxWindowBits: false }, `${DEFLATE}; server_max_window_bits=10`, undefined],
    [{ clientMaxWindowBits: 10 }, DEFLATE, undefined],
    [true, `${DEFLATE}; server_max_window_bits=77`, undefined],
    [true, `${DEFLATE}; nothing_known`, undefined],
    [true, 'x-other', undefined],
    [false, `${DEFLATE}; server_max_window_bits=10`, undefined],
  ])('with %j: %s is answered with %s', async (perMessageDeflate, offer, accepted) => {
    running = await startApp({ options: { messages: { perMessageDeflate } } });
    const peer = await RawPeer.handshake(running.port, { headers: { 'Sec-WebSocket-Extensions': offer } });
    expect(peer.answer?.status).toBe(101);
    expect(/^Sec-WebSocket-Extensions: (.*)\r?$/im.exec(peer.answer?.headers ?? '')?.[1]?.trim()).toBe(accepted);
    await peer.until(() => peer.messages[0]?.action === 'connected');
    peer.reset();
  });

  it('that is malformed is a bad request', async () => {
    running = await startApp({ options: { messages: { perMessageDeflate: true } } });
    const peer = await RawPeer.handshake(running.port, { headers: { 'Sec-WebSocket-Extensions': `${DEFLATE};;` } });
    expect(peer.answer?.status).toBe(400);
    expect(JSON.parse(peer.answer?.body ?? '').code).toBe('BAD_REQUEST');
    await peer.closed;
  });
});

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { WebSocketClient } from '../../lib/client/browser.js';
import { cleanUp, onCleanUp, startServer } from './support.js';

/** As in React Native: a `URL` that says little, signals without reasons, and none of what came later. */
class PoorUrl {
  readonly href: string;
  constructor(text: string) {
    this.href = text;
  }
}

/** Signals of React Native have neither a reason nor `throwIfAborted()`. */
function poorSignal(): { signal: AbortSignal; abort: () => void } {
  const target = new EventTarget();
  const signal = Object.assign(target, { aborted: false });
  const abort = (): void => {
    signal.aborted = true;
    target.dispatchEvent(new Event('abort'));
  };
  return { signal: signal as unknown as AbortSignal, abort };
}

describe('the client in a runtime like React Native', () => {
  const missing = ['URL', 'AbortController', 'AbortSignal', 'TextEncoder', 'WebSocket'] as const;
  const kept = new Map<string, PropertyDescriptor | undefined>();

  beforeEach(() => {
    for (const name of missing) {
      kept.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
      const value = name === 'URL' ? PoorUrl : name === 'WebSocket' ? WebSocket : undefined;
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
  });

  afterEach(async () => {
    for (const [name, descriptor] of kept) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else Reflect.deleteProperty(globalThis, name);
    }
    await cleanUp();
  });

  it('connects, asks, streams, aborts and comes back', async () => {
    const server = await startServer();
    const client = new WebSocketClient({ url: server.url, reconnect: { minDelayMs: 1, maxDelayMs: 5 } });
    onCleanUp(() => client.disconnect());
    // The socket itself is a Node one, which needs its own URL.
    Object.defineProperty(globalThis, 'URL', { ...kept.get('URL'), configurable: true });
    await client.connectToServer();
    const peer = await server.peers.take();
    await client.joinRoom('lobby');

    const never = poorSignal();
    never.abort();
    await expect(client.request('chat', 'never', 1, { signal: never.signal })).rejects.toThrow(/aborted/);
    const later = poorSignal();
    const failure = client.request('chat', 'slow', 1, { signal: later.signal });
    later.abort();
    await expect(failure).rejects.toThrow(/aborted/);
    const stopped = poorSignal();
    const next = client.stream('clock', 'ticks', 1, { signal: stopped.signal }).next();
    stopped.abort();
    await expect(next).rejects.toThrow(/aborted/);

    const back = new Promise((resolve) => client.on('connected', resolve));
    peer.socket.close(1012);
    await back;
    expect([...client.rooms]).toEqual(['lobby']);
    client.disconnect();
    await expect(client.request('chat', 'send')).rejects.toThrow(/not open/);
  });

  it('takes an address, and refuses what is none', () => {
    expect(new WebSocketClient({ url: 'wss://chat.example/ws' }).state).toBe('idle');
    expect(() => new WebSocketClient({ url: 'ftp://chat.example/ws' })).toThrow(/url must be ws:/);
  });
});

describe('the client for pages, where pages are rendered', () => {
  it('can be made with a path, and fails when it connects', async () => {
    const client = new WebSocketClient({ url: '/ws' });
    await expect(client.connectToServer()).rejects.toThrow(/url must be ws:.* or in a page a path/);
    expect(client.state).toBe('closed');
    expect(() => new WebSocketClient({ url: 'ftp://chat.example' })).toThrow(/url must be ws:/);
  });
});

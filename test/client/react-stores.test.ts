import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from '@jest/globals';
import { createElement, type ReactNode } from 'react';
import { renderToString } from 'react-dom/server';
import type { PresentUser } from '../../lib/index.js';
import { WebSocketClient } from '../../lib/client/browser.js';
import type { ClientRoom } from '../../lib/client/client-room.js';
import { presenceStoreOf } from '../../lib/client/presence-state.js';
import { useRoom } from '../../lib/client/react.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('The hooks keep nothing of the rooms that a server has rendered', () => {
  const client = new WebSocketClient({ url: '/ws' });
  const Room = ({ name }: { name: string }): ReactNode => useRoom(client, name).state;
  const render = (count: number): number => {
    for (let at = 0; at < count; at++) expect(renderToString(createElement(Room, { name: `doc:${at}` }))).toBe('idle');
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const before = render(500);
  expect((render(10_000) - before) / 10_000).toBeLessThan(100); // it was 500 bytes for each
});

it('Components look at the users of a room once for each push, however many there are of both', async () => {
  const listeners = new Set<() => void>();
  let looks = 0;
  const on = (_event: string, listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const values = (): PresentUser[] => {
    looks += 1;
    return Array.from({ length: looks }, (_, at) => ({ userId: String(at), data: null, connections: 1 }));
  };
  const room = { on, presence: { on, values, total: 1, isStale: false, ownId: 'me' } } as unknown as ClientRoom;
  const store = presenceStoreOf(room);
  const seen: number[] = [];
  const offs = Array.from({ length: 50 }, () => store.subscribe(() => seen.push(store.get().users.length)));
  const before = looks;
  for (let event = 0; event < 1_000; event++) for (const listener of listeners) listener();
  await Promise.resolve();
  expect(looks - before).toBe(1);
  expect(seen).toEqual(Array(50).fill(looks));
  for (const off of offs) off();
  expect(listeners.size).toBe(0);
});

import { createElement, type ReactNode, StrictMode, useState, version } from 'react';
import { createRoot } from 'react-dom/client';
import { WebSocketClient } from '../../lib/client/browser.js';
import { useConnection, usePresence, useRoom } from '../../lib/client/react.js';

const client = new WebSocketClient({ url: '/ws', reconnect: { minDelayMs: 100, maxDelayMs: 200 } });

/** What the banner has said. */
const seen: string[] = [];

function Banner(): ReactNode {
  const { state, clientId, attempt } = useConnection(client);
  const text = [state, clientId, attempt].filter(Boolean).join(' ');
  seen.push(text);
  return createElement('p', { id: 'banner' }, text);
}

function Room({ name }: { name: string }): ReactNode {
  const [heard, setHeard] = useState<unknown[]>([]);
  const { state, error, room } = useRoom(client, name, {
    join: { username: 'Ada' },
    ...(name === 'people' && { presence: true, presenceData: { name: 'Ada' } }),
    onMessage: (data) => setHeard((before) => [...before, data]),
  });
  const { users, total, isStale } = usePresence(room);
  const people =
    total > 0 && `${isStale ? 'were' : 'are'} ${total}: ${users.map(({ userId }) => userId).join(' and ')}`;
  const text = [name, state, error?.message, people, ...heard].filter(Boolean).join(' ');
  return createElement('p', { className: 'room' }, text);
}

function App(): ReactNode {
  const [rooms, setRooms] = useState(['lobby', 'lobby']);
  const [isShown, setShown] = useState(true);
  Object.assign(globalThis, { page: { client, version, seen, setRooms, setShown } });
  if (!isShown) return 'closed';
  return [createElement(Banner, { key: 'banner' }), ...rooms.map((name, key) => createElement(Room, { key, name }))];
}

createRoot(document.getElementById('root') as HTMLElement).render(createElement(StrictMode, null, createElement(App)));

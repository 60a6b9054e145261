import { createElement, type ReactNode, StrictMode, useState, version } from 'react';
import { createRoot } from 'react-dom/client';
import { WebSocketClient } from '../../lib/client/browser.js';
import { useConnection, useRoom } from '../../lib/client/react.js';

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
  const { state, error } = useRoom(client, name, {
    join: { username: 'Ada' },
    onMessage: (data) => setHeard((before) => [...before, data]),
  });
  return createElement('p', { className: 'room' }, [name, state, error?.message, ...heard].filter(Boolean).join(' '));
}

function App(): ReactNode {
  const [rooms, setRooms] = useState(['lobby', 'lobby']);
  const [isShown, setShown] = useState(true);
  Object.assign(globalThis, { page: { client, version, seen, setRooms, setShown } });
  if (!isShown) return 'closed';
  return [createElement(Banner, { key: 'banner' }), ...rooms.map((name, key) => createElement(Room, { key, name }))];
}

createRoot(document.getElementById('root') as HTMLElement).render(createElement(StrictMode, null, createElement(App)));

import { WebSocketClient } from '@scpxl/nestjs-websocket/client';
import { useConnection, usePresence, useRoom } from '@scpxl/nestjs-websocket/react';
import { type ReactNode, StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

const client = new WebSocketClient({ url: '/ws' });

/** Says that texts wait, while there is no connection. */
function Banner(): ReactNode {
  const { state, attempt } = useConnection(client);
  if (state === 'open') return <p role="status">Connected</p>;
  return (
    <p role="status">{attempt ? `Connecting again, attempt ${attempt}` : 'Connecting'}. What you say will be sent.</p>
  );
}

function Talk(): ReactNode {
  const [texts, setTexts] = useState<string[]>([]);
  const [text, setText] = useState('');
  const [error, setError] = useState('');
  const { room } = useRoom(client, 'talk', {
    history: { tail: 50 },
    presence: 'count',
    onMessage: (data) => setTexts((before) => [...before, (data as { text: string }).text]),
  });
  const { total, isStale } = usePresence(room);
  const say = async (): Promise<void> => {
    setText('');
    try {
      await client.request('talk', 'say', { text }, { retry: true });
      setError('');
    } catch (failure) {
      setError(`"${text}" wasn't said: ${(failure as Error).message}`);
    }
  };
  return (
    <main>
      <h1>Talk</h1>
      <Banner />
      <p>{total > 0 && `Open pages: ${total}${isStale ? ' before the connection was lost' : ''}`}</p>
      <ol>
        {texts.map((said, at) => (
          <li key={at}>{said}</li>
        ))}
      </ol>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void say();
        }}
      >
        <label>
          Say <input value={text} onChange={(event) => setText(event.target.value)} required />
        </label>
        <button>Send</button>
      </form>
      {error && <p role="alert">{error}</p>}
    </main>
  );
}

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <Talk />
  </StrictMode>,
);

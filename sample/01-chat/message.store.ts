import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { type Client, createClient, type Row } from '@libsql/client';

export interface ChatMessage {
  id: number;
  roomName: string;
  clientId: string;
  username: string;
  text: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** The sender's own name for it, if it gave one. */
  key?: string;
}

export type NewMessage = Omit<ChatMessage, 'id' | 'at'>;

const KEPT_PER_ROOM = 50;
/** Anybody can open rooms, so the whole table needs a limit, too. */
const KEPT_IN_ALL = 10_000;

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS message (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     roomName TEXT NOT NULL,
     clientId TEXT NOT NULL,
     username TEXT NOT NULL,
     text TEXT NOT NULL,
     at INTEGER NOT NULL,
     key TEXT
   )`,
  'CREATE INDEX IF NOT EXISTS message_by_room ON message (roomName, id)',
  'CREATE UNIQUE INDEX IF NOT EXISTS message_by_key ON message (roomName, key)',
];

/**
 * The last messages of each room, in an embedded SQLite database: `CHAT_DB` is its file, or `:memory:`.
 * @default .data/chat.db below the project's root
 */
@Injectable()
export class MessageStore implements OnModuleInit, OnApplicationShutdown {
  #db!: Client;

  async onModuleInit(): Promise<void> {
    this.#db = createClient({ url: databaseUrl(process.env['CHAT_DB']) });
    // One fsync less for each message: a killed process loses nothing, a power cut at most the last moment.
    await this.#db.execute('PRAGMA journal_mode = WAL');
    await this.#db.execute('PRAGMA synchronous = NORMAL');
    await this.#db.batch(SCHEMA, 'write');
  }

  onApplicationShutdown(): void {
    this.#db.close();
  }

  /** Keeps a message, and forgets what is too old. @returns the first one, for a key that is known in the room */
  async add({ roomName, clientId, username, text, key }: NewMessage): Promise<ChatMessage> {
    const [added] = await this.#db.batch(
      [
        {
          sql: `INSERT INTO message (roomName, clientId, username, text, at, key) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (roomName, key) DO NOTHING RETURNING *`,
          args: [roomName, clientId, username, text, Date.now(), key ?? null],
        },
        {
          sql: `DELETE FROM message WHERE roomName = ? AND id <=
                (SELECT id FROM message WHERE roomName = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`,
          args: [roomName, roomName, KEPT_PER_ROOM],
        },
        {
          sql: 'DELETE FROM message WHERE id <= (SELECT id FROM message ORDER BY id DESC LIMIT 1 OFFSET ?)',
          args: [KEPT_IN_ALL],
        },
      ],
      'write',
    );
    const row = added?.rows[0];
    return row ? toMessage(row) : this.#find(roomName, key);
  }

  /** The last messages of a room, the oldest first. */
  async latest(roomName: string): Promise<ChatMessage[]> {
    const { rows } = await this.#db.execute({
      sql: 'SELECT * FROM message WHERE roomName = ? ORDER BY id DESC LIMIT ?',
      args: [roomName, KEPT_PER_ROOM],
    });
    return rows.map(toMessage).toReversed();
  }

  async #find(roomName: string, key: string | undefined): Promise<ChatMessage> {
    const { rows } = await this.#db.execute({
      sql: 'SELECT * FROM message WHERE roomName = ? AND key = ?',
      args: [roomName, key ?? null],
    });
    if (!rows[0]) throw new Error('A message was refused as a double of one that does not exist.');
    return toMessage(rows[0]);
  }
}

function toMessage(row: Row): ChatMessage {
  const { id, roomName, clientId, username, text, at, key } = row as unknown as ChatMessage & { key: string | null };
  return { id, roomName, clientId, username, text, at, ...(key === null ? {} : { key }) };
}

/** Both places of this file, `sample/01-chat` and the compiled `dist-sample/01-chat`, are two below the root. */
function databaseUrl(file = fileURLToPath(new URL('../../.data/chat.db', import.meta.url))): string {
  if (file === ':memory:') return file;
  mkdirSync(dirname(resolve(file)), { recursive: true });
  return pathToFileURL(resolve(file)).href;
}

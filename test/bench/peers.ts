import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DIALECTS } from './dialects.js';

export interface Peer {
  file: string;
  dialect: keyof typeof DIALECTS;
  /** For the table. */
  title: string;
}

/** Who is measured, each set up as its own documentation does it: no compression, no transport but WebSocket. */
export const PEERS = {
  ours: { file: 'servers/ours.ts', dialect: 'ours', title: 'this module' },
  net: { file: 'servers/net.ts', dialect: 'plain', title: 'net' },
  ws: { file: 'servers/ws.ts', dialect: 'plain', title: 'ws' },
  'socket.io': { file: 'servers/socket.io.ts', dialect: 'socketio', title: 'Socket.IO' },
  'nest-ws': { file: 'servers/nest-ws.ts', dialect: 'nest', title: 'Nest gateway' },
  bun: { file: 'servers/bun.ts', dialect: 'plain', title: 'Bun' },
} satisfies Record<string, Peer>;

export type PeerName = keyof typeof PEERS;
export const PEER_NAMES = Object.keys(PEERS) as PeerName[];

const MODULES = fileURLToPath(new URL('node_modules/', import.meta.url));

/** The binary that npm put beside the peers, where there is one for this machine. */
export function findBun(): string | undefined {
  const vendors = `${MODULES}@oven/`;
  if (!existsSync(vendors)) return undefined;
  return readdirSync(vendors)
    .map((name) => `${vendors}${name}/bin/bun`)
    .find((path) => existsSync(path));
}

export const hasPeers = (): boolean =>
  ['socket.io', '@socket.io/redis-streams-adapter'].every((name) => existsSync(`${MODULES}${name}`));

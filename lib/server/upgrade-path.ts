import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { NOT_HERE, refuse } from './refusal.js';

/** The path as it was sent: never decoded, never matched by its beginning. */
export function pathOf({ url = '' }: IncomingMessage): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}

/** Nobody else listens for upgrades, so nobody else will answer this one. */
export function answerUnowned(socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  refuse(socket, NOT_HERE);
}

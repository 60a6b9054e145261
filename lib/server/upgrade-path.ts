import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** The path as it was sent: never decoded, never matched by its beginning. */
export function pathOf({ url = '' }: IncomingMessage): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}

/** Nobody else listens for upgrades, so nobody else will answer this one. */
export function answerUnowned(socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
}

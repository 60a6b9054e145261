import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { MeasuredServer, News } from '../contract.js';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Writes one ready frame to a member. */
export type WriteTo = (socket: Socket, frame: Buffer, member: number, news: News) => void;

/**
 * The floor: a hand-made upgrade, and `socket.write()` of a ready frame to each member. It understands the load's own
 * frames and nothing else.
 */
export async function startNetServer(
  writeTo: WriteTo = (socket, frame) => void socket.write(frame),
): Promise<MeasuredServer> {
  const rooms = new Map<string, Set<Socket>>();
  const publish = (room: string, news: News): void => {
    const bytes = frame(JSON.stringify({ type: 'bench', action: 'news', data: news }));
    let member = 0;
    for (const socket of rooms.get(room) ?? []) writeTo(socket, bytes, member++, news);
  };
  const heard = (socket: Socket, text: string): void => {
    const { action, data } = JSON.parse(text) as { action: string; data: News & { room: string } };
    if (action === 'say') return publish('bench', data);
    if (action !== 'join') return;
    rooms.set(data.room, (rooms.get(data.room) ?? new Set()).add(socket));
    socket.once('close', () => rooms.get(data.room)?.delete(socket));
    socket.write(frame('{"type":"bench","action":"joined"}'));
  };
  const server = createServer({ noDelay: true }, (socket) => {
    let isUpgraded = false;
    let rest = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
      if (!isUpgraded) {
        const head = rest.indexOf('\r\n\r\n');
        if (head < 0) return;
        socket.write(switchProtocols(rest.toString('latin1', 0, head)));
        rest = rest.subarray(head + 4);
        isUpgraded = true;
      }
      rest = readFrames(rest, (text) => heard(socket, text));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve));
  return { port: (server.address() as AddressInfo).port, publish };
}

function switchProtocols(head: string): string {
  const key = /sec-websocket-key: (\S+)/i.exec(head)?.[1] ?? '';
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

/** A text frame of up to 64 KiB. */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.length < 126) return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  return Buffer.concat([Buffer.from([0x81, 126, payload.length >> 8, payload.length & 0xff]), payload]);
}

/** Hands over whole frames of less than 64 KiB; returns what is left. */
function readFrames(bytes: Buffer, heard: (text: string) => void): Buffer<ArrayBuffer> {
  let at = 0;
  while (bytes.length - at >= 8) {
    const form = (bytes[at + 1] as number) & 0x7f;
    const mask = at + (form === 126 ? 4 : 2);
    const size = form === 126 ? bytes.readUInt16BE(at + 2) : form;
    if (bytes.length - mask - 4 < size) break;
    const payload = bytes.subarray(mask + 4, mask + 4 + size);
    for (let n = 0; n < size; n++) payload[n] = (payload[n] as number) ^ (bytes[mask + (n & 3)] as number);
    heard(payload.toString());
    at = mask + 4 + size;
  }
  return Buffer.from(bytes.subarray(at));
}

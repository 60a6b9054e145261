import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { INestApplication } from '@nestjs/common';

/** Says the port of a listening application, and closes it when standard input ends. Then nothing may keep the process. */
export function serve(app: INestApplication): void {
  const { port } = (app.getHttpServer() as Server).address() as AddressInfo;
  console.log(`port ${port}`);
  process.stdin.once('end', () => void app.close());
  process.stdin.resume();
}

import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { WebSocketUser } from '@scpxl/nestjs-websocket';

const COOKIE = /(?:^|;\s*)pxl-queue-user=([\w-]{22})(?:;|$)/;

/** A user is a browser here: who holds the cookie. The module's `auth.authenticate`. */
export function userOf({ headers }: IncomingMessage): WebSocketUser | null {
  const userId = COOKIE.exec(headers.cookie ?? '')?.[1];
  return userId ? { userId, payload: {} } : null;
}

/** 128 random bits, so that nobody guesses another's. */
export const newUserCookie = (): string =>
  `pxl-queue-user=${randomBytes(16).toString('base64url')}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000`;

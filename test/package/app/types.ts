// Never run: the public types, as an application sees them, in both module formats.
import { WebSocketClient as NodeClient, type WebSocketOptions } from '@scpxl/nestjs-websocket';
import { WebSocketClient as BrowserClient, type WebSocketClientOptions } from '@scpxl/nestjs-websocket/client';

export const options = { path: '/live', drain: { spreadMs: 50 } } satisfies WebSocketOptions;
export const clientOptions = { url: '/live' } satisfies WebSocketClientOptions;
export type Clients = [NodeClient, BrowserClient];

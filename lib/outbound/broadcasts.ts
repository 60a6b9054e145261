import type { WebSocket } from 'ws';
import type { ServerSocket } from '../connection/server-socket.js';
import { sayDeprecated } from '../deprecated.js';
import { encode } from '../json-value.js';
import type { Audience } from '../protocol/delivery.js';
import { checkSending } from './check-sending.js';
import { type Outgoing, plainError } from './outgoing.js';
import type { SendOptions } from '../protocol/delivery.js';

export type SentData = Record<string, unknown>;

export interface BroadcastOptions extends SendOptions {
  /** @deprecated Write `except: [clientId]`. */
  excludeClientId?: string;
}

/** The broadcasting methods of a server. They send any value that has a JSON form. */
export class Broadcasts {
  constructor(private readonly outgoing: Outgoing) {}

  /** @throws {InvalidMessageError} for an id instead of a list @throws {NotSerializableError} */
  send(audience: Audience, params: { data: unknown } & BroadcastOptions, scope: 'node' | 'cluster' = 'cluster'): void {
    checkSending(audience, params);
    if (scope === 'node') this.outgoing.toThisNode(audience, params.data, sendOptions(params));
    else this.outgoing.toCluster(audience, params.data, sendOptions(params));
  }

  sendError(clientId: string, error: string): void {
    this.outgoing.toCluster({ kind: 'clients', clientIds: [clientId] }, plainError(error), { volatile: false });
  }
}

/** Sends to one socket of this node. @throws {NotSerializableError} */
export function sendToSocket(ws: WebSocket, data: unknown, isBinary: boolean): void {
  const text = encode(data);
  const outbox = isBinary ? undefined : (ws as ServerSocket).outbox;
  if (outbox) outbox.pushText(text);
  else if (ws.readyState === ws.OPEN) ws.send(text, { binary: isBinary });
}

function sendOptions(options: BroadcastOptions): SendOptions {
  const { excludeClientId, except = [] } = options;
  if (excludeClientId === undefined) return options;
  sayDeprecated('"excludeClientId"', 'Write "except: [clientId]".');
  return { ...options, except: [...except, excludeClientId] };
}

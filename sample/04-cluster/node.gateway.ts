import { Injectable } from '@nestjs/common';
import type { OnGatewayConnection } from '@nestjs/websockets';
import { WebSocketClientManager, WsGateway, WsRoute } from '@scpxl/nestjs-websocket';
import type { WebSocket } from 'ws';
import { settings } from './settings.js';

/** Says of every client which node it is on: metadata of a client is known to all nodes. */
@Injectable()
@WsGateway('node')
export class NodeGateway implements OnGatewayConnection {
  constructor(private readonly clients: WebSocketClientManager) {}

  handleConnection(ws: WebSocket): void {
    const clientId = this.clients.getClientId({ ws });
    if (clientId) this.clients.updateClient({ clientId, key: 'node', data: settings.nodeName });
  }

  /** For a client that wants to know where it ended up. */
  @WsRoute('name')
  name(): string {
    return settings.nodeName;
  }
}

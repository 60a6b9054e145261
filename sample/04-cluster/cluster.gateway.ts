import { Injectable, type OnApplicationShutdown, type OnModuleInit, UsePipes, ValidationPipe } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import {
  ClientId,
  type RoomPosition,
  type SubscriberEvent,
  WebSocketClientManager,
  WebSocketRedisSubscriberEvent as Event,
  WebSocketServer,
  WebSocketService,
  WsGateway,
  WsRoute,
  WsSubscribe,
} from '@scpxl/nestjs-websocket';
import { IsIn } from 'class-validator';
import type { Subscription } from 'rxjs';
import { SendDto } from '../01-chat/chat.dto.js';
import { MessageStore } from '../01-chat/message.store.js';
import { ChatNodes } from './chat-nodes.js';
import { LoadBalancer } from './load-balancer.js';

export const NODE_NAMES = ['A', 'B', 'C'];

class NodeDto {
  @IsIn(NODE_NAMES)
  name!: string;
}

interface SeenClient {
  clientId: string;
  node: string;
  username: string;
  rooms: string[];
}

interface Heard {
  channel: string;
  clientId: string;
  roomName?: string;
  reason?: string;
  at: number;
}

/** Changes of one moment are one push. */
const GATHER_MS = 60;

/**
 * Behind the page. It is a node of the cluster itself: nobody chats here, but the managers answer for all nodes, the
 * events of all arrive, and what is sent to a room reaches its members everywhere.
 */
@Injectable()
@WsGateway('cluster')
@UsePipes(new ValidationPipe({ whitelist: true, transform: true }))
export class ClusterGateway implements OnModuleInit, OnApplicationShutdown {
  /** Kept until a client's end is reported: this process may have dropped the clients of a dead node before. */
  readonly #seen = new Map<string, SeenClient>();
  #heard: Heard[] = [];
  #pushDue: NodeJS.Timeout | undefined;
  #changes: Subscription | undefined;

  constructor(
    private readonly nodes: ChatNodes,
    private readonly balancer: LoadBalancer,
    private readonly clients: WebSocketClientManager,
    private readonly messages: MessageStore,
    private readonly webSocketService: WebSocketService,
    private readonly server: WebSocketServer,
  ) {}

  onModuleInit(): void {
    this.#changes = this.nodes.changes.subscribe(({ name, state }) => {
      this.#tell({ kind: `node-${state}`, node: name });
      this.#pushSoon();
    });
  }

  onApplicationShutdown(): void {
    this.#changes?.unsubscribe();
    clearTimeout(this.#pushDue);
  }

  @WsRoute('state')
  state(): { nodes: unknown; clients: SeenClient[]; balancerPort: number } {
    const clients = this.clients.getClients().flatMap((client) => {
      const { clientId, rooms } = client;
      const node: unknown = client['node'];
      // The pages that watch have none.
      if (typeof node !== 'string') return [];
      return [{ clientId, node, username: String(client['username'] ?? ''), rooms: rooms.toSorted() }];
    });
    for (const client of clients) this.#seen.set(client.clientId, client);
    return { nodes: this.nodes.list(), clients, balancerPort: this.balancer.port };
  }

  @WsRoute('start')
  async start(@MessageBody() { name }: NodeDto): Promise<void> {
    await this.nodes.start(name);
  }

  @WsRoute('stop')
  async stop(@MessageBody() { name }: NodeDto): Promise<void> {
    await this.nodes.stop(name);
  }

  @WsRoute('kill')
  kill(@MessageBody() { name }: NodeDto): void {
    this.nodes.kill(name);
  }

  /** From here, where no member of the room is connected, to all of them. The reply is its place in the room. */
  @WsRoute('say')
  async say(@MessageBody() { roomName, text, key }: SendDto, @ClientId() clientId: string): Promise<RoomPosition> {
    const data = await this.messages.add({ roomName, clientId, username: 'The cluster page', text, key });
    const message = { type: 'chat', action: 'message', data };
    const { epoch, offset } = await this.webSocketService.publishToRoom(roomName, message, { key: String(data.id) });
    return { epoch, offset };
  }

  /** What happens to clients, on whichever node. */
  @WsSubscribe(/^WebSocket:Client/)
  heard({ channel, message }: SubscriberEvent): void {
    this.#heard.push({ ...(message as { clientId: string }), channel, at: Date.now() });
    this.#pushSoon();
  }

  #pushSoon(): void {
    this.#pushDue ??= setTimeout(() => {
      this.#pushDue = undefined;
      const state = this.state();
      // What a client says of itself with a join reaches other nodes a moment after the join.
      const nameless = state.clients.filter(({ username, rooms }) => username === '' && rooms.length > 0);
      const waiting = new Set(nameless.map(({ clientId }) => clientId));
      const heard = this.#heard;
      this.#heard = heard.filter(({ clientId }) => waiting.has(clientId));
      for (const event of heard) if (!waiting.has(event.clientId)) this.#tellOf(event);
      this.server.broadcastToAllClients({ data: { type: 'cluster', action: 'state', data: state } });
      if (waiting.size > 0) this.#pushSoon();
    }, GATHER_MS).unref();
  }

  #tellOf({ channel, clientId, ...event }: Heard): void {
    const seen = this.#seen.get(clientId);
    if (channel === Event.ClientDisconnected) this.#seen.delete(clientId);
    if (!seen || channel === Event.ClientConnected) return; // it left at once, or is a page that watches
    this.#tell({ ...event, kind: KINDS[channel], node: seen.node, username: seen.username });
  }

  #tell(event: Record<string, unknown>): void {
    const data = { type: 'cluster', action: 'event', data: { at: Date.now(), ...event } };
    this.server.broadcastToAllClients({ data });
  }
}

const KINDS: Record<string, string> = {
  [Event.ClientDisconnected]: 'client-left',
  [Event.ClientJoinedRoom]: 'room-joined',
  [Event.ClientLeftRoom]: 'room-left',
};

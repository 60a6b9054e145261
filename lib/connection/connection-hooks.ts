import type { Membership } from '../clients/membership.js';
import type { ConnectedClient } from '../decorators/connected-client.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { JoinRoom } from '../options/websocket-events.js';
import type { GatewayHooks } from '../routing/route.explorer.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import type { Connection } from './connection.js';

/** How a connection ended: the third argument of `handleDisconnect(ws, reason, disconnection)`. */
export interface Disconnection {
  clientId: string;
  client: ConnectedClient;
  /** The rooms it was in. */
  rooms: string[];
  code: number;
  reason: string;
}

/** Calls the application's hooks and callbacks for clients that come and go. */
export class ConnectionHooks {
  #ofGateways: readonly GatewayHooks[] = [];

  constructor(
    private readonly events: ResolvedOptions['events'],
    private readonly membership: Membership,
    private readonly failed: (error: unknown, place: string) => void,
  ) {}

  /** The hooks of the application. */
  add(hooks: readonly GatewayHooks[]): void {
    this.#ofGateways = [...this.#ofGateways, ...hooks];
  }

  /** @throws what a hook throws */
  async opened({ ws, clientId, client }: Connection, request: UpgradeRequest): Promise<void> {
    const joinRoom: JoinRoom = async (params) => {
      await this.membership.join(client, params);
      return true;
    };
    await this.events.onConnected?.({ ws, clientId, request, params: client.params, joinRoom });
    for (const { handleConnection } of this.#ofGateways) await handleConnection?.(ws, request);
  }

  /** Calls the hooks of a connection's end, after the hooks of its beginning have finished. Never rejects. */
  async closed(connection: Connection, disconnection: Disconnection): Promise<void> {
    await connection.opened;
    const { clientId, code, reason } = disconnection;
    for (const { handleDisconnect, place } of this.#ofGateways) {
      try {
        await handleDisconnect?.(connection.ws, reason, disconnection);
      } catch (error) {
        this.failed(error, `${place}.handleDisconnect`);
      }
    }
    try {
      await this.events.onDisconnected?.({ clientId, code, reason });
    } catch (error) {
      this.failed(error, 'events.onDisconnected');
    }
  }
}

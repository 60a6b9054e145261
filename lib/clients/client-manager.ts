import type { WebSocket } from 'ws';
import type { ConnectedClient } from '../decorators/connected-client.js';
import type { WebSocketUser } from '../protocol/message.js';
import { type Farewell, sayDeprecated } from '../deprecated.js';
import { CloseCode, fitReason, isSendableCloseCode } from '../protocol/close-codes.js';
import { type ClientManagerOptions, ClientsByHand } from './by-hand.js';
import type { ClientTable } from './client-table.js';
import type { ClientOwner } from './owners.js';
import type { NewClient, RegisteredClient } from './registered-client.js';

/**
 * The connected clients and what is known about them. With `registry: 'replicated'` this node knows the clients of all nodes, with
 * `'local'` only its own. Every lookup is O(1) or O(its result).
 */
export class WebSocketClientManager {
  readonly #owner: ClientOwner;
  readonly #table: ClientTable;

  /** Inside a Nest application, inject it instead. */
  constructor(options: ClientManagerOptions = {}, owner: ClientOwner = new ClientsByHand(options)) {
    this.#owner = owner;
    this.#table = owner.table;
  }

  /** How many clients are connected. */
  get size(): number {
    return this.#table.size;
  }

  /**
   * Scope: this node. Adds a client; one with the same id is replaced.
   * @param record.lastActivity milliseconds since the epoch
   * @param record.ws null for a client of another node
   * @throws {NotSerializableError} for a user whose payload has no JSON form
   */
  addClient(record: NewClient): RegisteredClient {
    return this.#owner.add(record, 'here');
  }

  /** Scope: this node. Removes a client, but leaves its socket as it is. Does nothing for an unknown id. */
  removeClient(clientId: string): void {
    this.#owner.remove(clientId, 'here');
  }

  /** Scope: what this node knows. @param params.requireWs finds only a client whose socket is on this node. @default false */
  getClient({ clientId, requireWs = false }: { clientId: string; requireWs?: boolean }): ConnectedClient | undefined {
    const client = this.#table.get(clientId);
    return requireWs && !client?.ws ? undefined : client;
  }

  /** Scope: this node. */
  getClientId({ ws }: { ws: WebSocket }): string | undefined {
    return this.#table.bySocket(ws)?.clientId;
  }

  /**
   * Scope: what this node knows.
   * @param params.userType returns only clients whose `userType` is this, in their metadata or else in the user's
   * payload
   */
  getClients({ userType }: { userType?: string } = {}): ConnectedClient[] {
    const clients = [...this.#table.all()];
    if (userType === undefined) return clients;
    return clients.filter((client) => (client['userType'] ?? client.user?.payload?.['userType']) === userType);
  }

  /** Scope: what this node knows. The connections of a user. */
  getUserClients({ userId }: { userId: string | number }): ConnectedClient[] {
    return [...this.#table.ofUser(userId)];
  }

  /**
   * Scope: cluster. Stores metadata with a client. Every node reads it as `client[key]`. Does nothing for an unknown id.
   * @param params.data is kept in its JSON form: a `Date` becomes its ISO text. `undefined` removes the key everywhere.
   * @throws {ReservedKeyError} for a key that belongs to the module (`ws`, `clientId`, `user`, …) or to JavaScript
   * @throws {NotSerializableError} for a value without a JSON form (a BigInt, a cycle, a function, a `Map`, bytes, …)
   */
  updateClient({ clientId, key, data }: { clientId: string; key: string; data: unknown }): void {
    this.#owner.update(clientId, key, data, 'here');
  }

  /**
   * Scope: this node. Sets the user of a client. Don't pass on what a client says about itself; `joinRoom()` checks that.
   * @param params.user its payload is kept in its JSON form, like metadata
   * @throws {NotSerializableError}
   */
  setUser({ clientId, user }: { clientId: string; user: WebSocketUser | null }): void {
    this.#owner.identify(clientId, user, 'here');
  }

  /**
   * Scope: cluster. Closes a client's socket and removes the client at once. Does nothing for an unknown id. In rooms with presence,
   * its user may be there for `graceMs` longer because of another connection. `disconnectUser()` ends that, too.
   */
  disconnectClient(clientId: string, farewell?: Farewell): void;
  /** @deprecated Write `disconnectClient(clientId, { code, reason })`. */
  disconnectClient(params: { clientId: string } & Farewell): void;
  disconnectClient(given: string | ({ clientId: string } & Farewell), farewell: Farewell = {}): void {
    if (typeof given === 'string') return this.#disconnect(given, farewell);
    sayDeprecated(
      'disconnectClient({ clientId, code, reason })',
      'Write "disconnectClient(clientId, { code, reason })".',
    );
    this.#disconnect(given.clientId, given);
  }

  #disconnect(clientId: string, { code, reason = '' }: Farewell): void {
    const sendable = code !== undefined && isSendableCloseCode(code) ? code : CloseCode.Kicked;
    this.#owner.disconnect(clientId, sendable, fitReason(reason));
  }

  /**
   * Scope: this node. Pushes the public client list to this node's clients, together with other changes of the same moment.
   * @param event the reason that clients read. @default 'updated'
   */
  broadcastClientList(event = 'updated'): void {
    this.#owner.showList(event);
  }

  /** Scope: this node. Removes every client, as `removeClient()` does. */
  cleanup(): void {
    this.#owner.removeAll();
  }
}

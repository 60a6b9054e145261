import type { ConnectedClient } from '../decorators/connected-client.js';
import { encode } from '../json-value.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** What every server can do beyond the first version of the protocol. A client only uses what is listed. */
const FEATURES: readonly string[] = ['joinRooms', 'session', 'keys'];

/** The first frame of a connection: the client's id and user, and the limits of this server. */
export class Greeting {
  /** The part that is the same for every client, encoded once. */
  readonly #rest: string;

  constructor({
    heartbeat,
    messages,
    rooms,
    presence,
  }: Pick<ResolvedOptions, 'heartbeat' | 'messages' | 'rooms' | 'presence'>) {
    const limits = { maxPayload: messages.maxPayload, maxDepth: messages.maxDepth };
    const features = [...FEATURES];
    if (rooms.history.length > 0) features.push('history');
    if (presence.length > 0) features.push('presence');
    this.#rest = JSON.stringify({ heartbeat, limits, features }).slice(1);
  }

  /**
   * @returns the frame as text
   * @throws {NotSerializableError} for a user id of the application that has no JSON form
   */
  for({ clientId, user }: ConnectedClient): string {
    const who = user ? `,"user":${encode({ userId: user.userId })}` : '';
    return `{"type":"system","action":"connected","data":{"clientId":${JSON.stringify(clientId)}${who},${this.#rest}}`;
  }
}

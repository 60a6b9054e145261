import { FLAG } from '../protocol/check.js';
import { BYTES, COUNT_OR_0, TEXTS, TIME_OR_0 } from './checks.js';
import type { Table } from './option-table.js';

/** The public list of clients, which is pushed as `system/clientList` when it changes. */
export interface ClientListOptions {
  /**
   * Push the list. To switch the list off, write `clientList: false`. Write `enabled: false` only to set `publicFields` without the list:
   * they are also the fields that `client.toJSON()` shows. @default true
   */
  enabled?: boolean;
  /**
   * What others may see of a client. Rooms of `rooms.protectedPrefixes` are never shown.
   * @default ['clientId', 'userId', 'username', 'userType', 'rooms']
   */
  publicFields?: string[];
  /** Maximum number of clients in one push. With more clients, only their count is sent. @default 200 */
  maxClients?: number;
  /** Maximum size of one push. Of a longer list, only the count is sent. @default 32_768 */
  maxBytes?: number;
  /** Minimum time between two pushes, in milliseconds. It is longer when the pushes are large. @default 250 */
  minIntervalMs?: number;
}

export const CLIENT_LIST = {
  enabled: { default: true, check: FLAG },
  publicFields: {
    default: ['clientId', 'userId', 'username', 'userType', 'rooms'],
    check: { ...TEXTS, must: 'a list of field names' },
  },
  maxClients: { default: 200, check: COUNT_OR_0, unit: 'clients' },
  maxBytes: { default: 32_768, check: BYTES },
  minIntervalMs: { default: 250, check: TIME_OR_0 },
} satisfies Table<ClientListOptions>;

const SECRET = ['ws', 'params', 'user', 'payload', 'request', 'ip', 'roundTripMs'];

export function* clientListFlaws(clientList: ClientListOptions | false | undefined): Generator<string> {
  for (const field of SECRET) {
    if (clientList && clientList.publicFields?.includes(field))
      yield `"clientList.publicFields" can't name "${field}": other clients must not see it. Remove it`;
  }
}

import type { WebSocket } from 'ws';
import type { Interest } from '../cluster/channels.js';
import type { Delivery } from '../protocol/delivery.js';

/** Told when this node gets its first member of a room or connection of a user, and when it loses the last. */
export interface InterestListener {
  wanted(interest: Interest): void;
  unwanted(interest: Interest): void;
}

const TEXT = { binary: false };
const NONE: ReadonlySet<string> = new Set();

/**
 * Writes an encoded frame to this node's sockets, whoever published it. Keeps its own lists of them, so that a message for
 * a room costs what its members here cost, however many are elsewhere.
 */
export class LocalDelivery {
  readonly #sockets = new Map<string, WebSocket>();
  readonly #membersOf = new Map<string, Set<string>>();
  readonly #connectionsOf = new Map<string, Set<string>>();

  constructor(private readonly listener: InterestListener) {}

  /** True for a client whose socket is on this node. */
  has(clientId: string): boolean {
    return this.#sockets.has(clientId);
  }

  clientIds(): Iterable<string> {
    return this.#sockets.keys();
  }

  add(clientId: string, ws: WebSocket): void {
    this.#sockets.set(clientId, ws);
  }

  remove(clientId: string): void {
    this.#sockets.delete(clientId);
  }

  join(clientId: string, roomName: string): void {
    if (addTo(this.#membersOf, roomName, clientId)) this.listener.wanted({ kind: 'room', name: roomName });
  }

  leave(clientId: string, roomName: string): void {
    if (removeFrom(this.#membersOf, roomName, clientId)) this.listener.unwanted({ kind: 'room', name: roomName });
  }

  identify(clientId: string, userId: string | number): void {
    const name = String(userId);
    if (addTo(this.#connectionsOf, name, clientId)) this.listener.wanted({ kind: 'user', name });
  }

  unidentify(clientId: string, userId: string | number): void {
    const name = String(userId);
    if (removeFrom(this.#connectionsOf, name, clientId)) this.listener.unwanted({ kind: 'user', name });
  }

  /** Hands the same bytes to every local member, once each. */
  deliver({ audience, except, frame }: Delivery): void {
    const excluded = except && except.length > 0 ? new Set(except) : NONE;
    const send = (clientId: string): void => {
      const ws = this.#sockets.get(clientId);
      if (ws && ws.readyState === ws.OPEN && !excluded.has(clientId)) ws.send(frame, TEXT);
    };
    switch (audience.kind) {
      case 'all':
        for (const clientId of this.#sockets.keys()) send(clientId);
        return;
      case 'clients':
        for (const clientId of new Set(audience.clientIds)) send(clientId);
        return;
      case 'users':
        for (const clientId of membersOfAny(this.#connectionsOf, audience.userIds.map(String))) send(clientId);
        return;
      case 'rooms':
        for (const clientId of membersOfAny(this.#membersOf, audience.roomNames)) send(clientId);
        return;
      default:
        return audience satisfies never;
    }
  }
}

function membersOfAny(map: ReadonlyMap<string, ReadonlySet<string>>, keys: readonly string[]): Iterable<string> {
  const [only] = keys;
  if (only !== undefined && keys.length === 1) return map.get(only) ?? NONE;
  const members = new Set<string>();
  for (const key of keys) for (const clientId of map.get(key) ?? NONE) members.add(clientId);
  return members;
}

/** @returns true when it is the first of this key */
function addTo(map: Map<string, Set<string>>, key: string, value: string): boolean {
  const values = map.get(key);
  if (values) values.add(value);
  else map.set(key, new Set([value]));
  return !values;
}

/** @returns true when it was the last of this key */
function removeFrom(map: Map<string, Set<string>>, key: string, value: string): boolean {
  const values = map.get(key);
  if (!values?.delete(value) || values.size > 0) return false;
  return map.delete(key);
}

import { JunkError } from '../cluster/bus-input.js';
import { digestOf } from '../digest.js';
import { InvalidMessageError } from '../errors.js';
import { encodeMessage } from '../outbound/outgoing.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { Audience, Delivery, SendOptions } from '../protocol/delivery.js';
import type { RoomPosition, WebSocketMessage } from '../protocol/message.js';
import { isKey } from '../protocol/names.js';
import type { CallScope } from '../routing/call-scope.js';
import type { RouteCall } from '../routing/route-call.js';
import type { HistoryRules } from './history-options.js';
import type { HistoryRule } from './history-rule.js';
import { encodeAt } from './publications.js';
import type { Appended, AppendOptions, RoomLog } from './room-log.js';

export interface PublishOptions {
  /**
   * The same key, within `keyTtlMs`: published once, however often it is asked for. 1–128 characters.
   * @default in a handler of a message that has a `key`: that key and a number, so that a message that is sent again publishes once
   */
  key?: string;
  /**
   * False: the client whose message is being handled doesn't get it back, neither now nor when it comes back on another
   * connection. Only in a handler. A client without a session gets it.
   * @default true; false for a client that joined the room with `echo: false`
   */
  echo?: boolean;
  /** A growing number. In `last` mode, a version that isn't newer than the kept one is ignored. */
  version?: number;
}

/** The place in each room, or the error of that room. */
export type RoomPlaces = Record<string, Appended | { error: Error }>;

/** A message as `history()` returns it. */
export interface Publication extends WebSocketMessage {
  at: { room: string; epoch: string; offset: number };
}

export interface HistoryPage {
  epoch: string;
  /** The newest place. */
  offset: number;
  /** The oldest that is kept; `offset + 1` if there is none. */
  first: number;
  /** Oldest first, or newest first with `reverse`. */
  entries: Publication[];
  /** There are more between the bounds. */
  more: boolean;
}

export interface HistoryQuery {
  /** At most 100. @default 100 */
  limit?: number;
  /** Only messages after this place. */
  since?: RoomPosition;
  /** Only messages before this place. */
  before?: RoomPosition;
  /** Newest first. @default false */
  reverse?: boolean;
}

const MAX_PAGE = 100;
/** The size of one page. */
const PAGE_BYTES = 262_144;

/** The client whose message is being handled. Undefined in a process without handlers. */
export interface PublishingClient {
  scope: Pick<CallScope, 'current'>;
  members: Pick<LocalDelivery, 'hasEcho'>;
}

/** Publishes to rooms with history, and reads them. */
export class RoomPublisher {
  constructor(
    private readonly log: RoomLog,
    private readonly rules: Pick<HistoryRules, 'of'>,
    private readonly client?: PublishingClient,
  ) {}

  ruleOf(roomName: string): HistoryRule | undefined {
    return this.rules.of(roomName);
  }

  /** The rooms of an audience that have a history. */
  roomsIn(audience: Audience): string[] {
    return audience.kind === 'rooms' ? audience.roomNames.filter((name) => this.ruleOf(name) !== undefined) : [];
  }

  /**
   * @param call for whom it is done
   * @throws {InvalidMessageError} and what `RoomLog.append()` throws
   */
  async publish(
    roomName: string,
    message: WebSocketMessage,
    options: PublishOptions = {},
    call: RouteCall | undefined = this.client?.scope.current,
  ): Promise<Appended> {
    const frame = encodeMessage(message);
    check(options, call);
    return this.log.append(roomName, frame, this.#optionsOf(roomName, options, call, keyOf(options, call)));
  }

  /** Publishes a copy to each room, in this order. @throws the error, if all of them failed */
  async publishToRooms(
    roomNames: readonly string[],
    message: WebSocketMessage,
    options: PublishOptions = {},
  ): Promise<RoomPlaces> {
    const frame = encodeMessage(message);
    const call = this.client?.scope.current;
    check(options, call);
    const key = keyOf(options, call); // the same one in each room
    const rooms = [...new Set(roomNames)];
    const results = await Promise.allSettled(
      rooms.map((roomName) => this.log.append(roomName, frame, this.#optionsOf(roomName, options, call, key))),
    );
    const failures = results.filter((result) => result.status === 'rejected');
    if (failures.length > 0 && failures.length === results.length) throw failures[0]?.reason;
    const places = results.map((result, at) => [
      rooms[at],
      result.status === 'fulfilled' ? result.value : { error: result.reason as Error },
    ]);
    return Object.fromEntries(places) as RoomPlaces;
  }

  /**
   * Sends to rooms of which some have a history.
   * @param kept those that have one
   * @param sendRest sends to the others
   * @returns rejects if one of them couldn't take it, though the others have it: nobody would see the error otherwise
   * @throws {InvalidMessageError} for options that a room with history doesn't have
   */
  send(
    kept: readonly string[],
    audience: Audience,
    message: WebSocketMessage,
    options: SendOptions,
    sendRest: (roomNames: string[]) => Promise<unknown>,
  ): Promise<unknown> {
    refuseOptions(kept[0] as string, options);
    const others = audience.kind === 'rooms' ? audience.roomNames.filter((name) => !kept.includes(name)) : [];
    if (kept.length === 1 && others.length === 0) return this.publish(kept[0] as string, message);
    // First: what it throws is thrown before anything is published.
    const rest = others.length > 0 ? sendRest(others) : undefined;
    const published = this.publishToRooms(kept, message).then((places) => {
      for (const place of Object.values(places)) if ('error' in place) throw place.error;
    });
    return rest ? Promise.all([published, rest]) : published;
  }

  async position(roomName: string): Promise<RoomPosition> {
    const [position] = await this.log.top([roomName]);
    return position as RoomPosition;
  }

  async page(
    roomName: string,
    { limit = MAX_PAGE, since, before, reverse = false }: HistoryQuery,
  ): Promise<HistoryPage> {
    const read = await this.log.read(roomName, {
      limit: Math.min(Math.max(1, limit), MAX_PAGE),
      maxBytes: PAGE_BYTES,
      since: since?.offset,
      before: before?.offset,
      reverse,
    });
    const { epoch, top: offset, first } = read;
    // A place of another epoch is no bound here.
    const isOther = [since, before].some((place) => place !== undefined && place.epoch !== epoch);
    const entries = isOther
      ? []
      : read.entries.map((entry) => JSON.parse(encodeAt(roomName, epoch, entry)) as Publication);
    const [low, high] = [Math.max(first, (since?.offset ?? 0) + 1), Math.min(offset, (before?.offset ?? Infinity) - 1)];
    return { epoch, offset, first, entries, more: !isOther && entries.length < Math.max(0, high - low + 1) };
  }

  clear(roomName: string): Promise<RoomPosition> {
    return this.log.clear(roomName);
  }

  #optionsOf(
    roomName: string,
    { version, echo }: PublishOptions,
    call: RouteCall | undefined,
    key: string | undefined,
  ): AppendOptions {
    const hasEcho = !call || (echo ?? this.client?.members.hasEcho(call.clientId, roomName) ?? true);
    return { key, version, session: hasEcho ? undefined : call.peer.caller?.session };
  }

  /**
   * A sender that doesn't know the rule sent a message without a place: an emitter, another program, or a node with
   * other options. Members couldn't recover it, so it is refused.
   * @throws {JunkError}
   */
  refuseUnnumbered({ audience }: Pick<Delivery, 'audience'>): void {
    const [roomName] = this.roomsIn(audience);
    if (roomName !== undefined)
      throw new JunkError(
        `A message for the room "${roomName}", which keeps its messages, was left out: its sender doesn't know that. Give every ` +
          'node and emitter the same rooms.history.',
      );
  }
}

/** A client couldn't tell a message that it shouldn't get from one that was lost. */
function refuseOptions(roomName: string, { volatile, conflateKey, except }: SendOptions): void {
  const given = volatile
    ? 'volatile'
    : conflateKey !== undefined
      ? 'conflateKey'
      : except?.length
        ? 'except'
        : undefined;
  if (given !== undefined)
    throw new InvalidMessageError(
      `"${given}" can't be used for the room "${roomName}", which keeps its messages: every member gets every one. Leave it out, ` +
        'or send to a room without history.',
    );
}

const keyOf = ({ key }: PublishOptions, call: RouteCall | undefined): string | undefined =>
  key ?? (call && defaultKey(call));

/** @throws {InvalidMessageError} */
function check({ key, version, echo = true }: PublishOptions, call: RouteCall | undefined): void {
  if (!echo && !call)
    throw new InvalidMessageError(
      '"echo: false" leaves out the client whose message is being handled: use it in a handler.',
    );
  if (key !== undefined && !isKey(key)) throw new InvalidMessageError('The key must be a string of 1–128 characters.');
  if (version !== undefined && !Number.isFinite(version))
    throw new InvalidMessageError('The version must be a finite number.');
}

/** A handler publishes the same things in the same order when its message is sent again. */
function defaultKey(call: RouteCall): string | undefined {
  const { key, peer, type, action } = call;
  if (key === undefined || !peer.caller) return undefined;
  return `call:${digestOf(`${peer.caller.owner}\n${type}/${action}\n${key}`)}:${++call.published}`;
}

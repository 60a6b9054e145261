/** Who gets a message. A client named twice, or in two of the rooms, gets one copy. */
export type Audience =
  | { kind: 'all' }
  | { kind: 'clients'; clientIds: readonly string[] }
  | { kind: 'users'; userIds: readonly (string | number)[] }
  | { kind: 'rooms'; roomNames: readonly string[] };

/** A message on its way out, as data: the same on the publisher's node and on every other. */
export interface Delivery {
  audience: Audience;
  /** Client ids that get no copy. */
  except?: readonly string[] | undefined;
  /** The client frame, serialised once by the publisher: UTF-8 JSON. */
  frame: Uint8Array;
  /** May be left out for a socket that is behind. */
  isVolatile?: boolean | undefined;
  /** Of those with the same key a socket that is behind gets the latest alone. */
  conflateKey?: string | undefined;
}

/** What a message counts as that doesn't say it itself: it waits and the slow socket is closed; it may be dropped; it may be replaced. */
export type BackpressurePolicy = 'close' | 'drop-volatile' | 'conflate';

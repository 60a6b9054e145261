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
  /** The client frame, serialised once by the publisher: JSON as text, or as the UTF-8 bytes that came over the bus. */
  frame: string | Uint8Array;
  /** May be left out for a socket that is behind. */
  isVolatile?: boolean | undefined;
  /** Of those with the same key a socket that is behind gets the latest alone. */
  conflateKey?: string | undefined;
}

/** What a message counts as that doesn't say it itself: it waits and the slow socket is closed; it may be dropped; it may be replaced. */
export type BackpressurePolicy = 'close' | 'drop-volatile' | 'conflate';

/** How a message may be left out for a client that is behind (more than `backpressure.volatileBytes` wait for it). */
export interface BackpressureOptions {
  /** True: then it is dropped. False: it waits, whatever `backpressure.policy` says. @default by the policy */
  volatile?: boolean;
  /** Then only the latest of those with the same key is sent, once the client has caught up. 1–128 characters. */
  conflateKey?: string;
}

/** Who gets a message. A client named twice, or in two of the rooms, gets one copy. */
export type Audience =
  | { kind: 'all' }
  | { kind: 'clients'; clientIds: readonly string[] }
  | { kind: 'users'; userIds: readonly (string | number)[] }
  | { kind: 'rooms'; roomNames: readonly string[] };

/** The bytes of JSON that `except` may have. Nodes drop a delivery whose header is above 4 MiB. */
export const MAX_EXCEPT_BYTES = 3 * 1_048_576;

/** A message to send, as data: the same on the sender's node and on every other node. */
export interface Delivery {
  audience: Audience;
  /** Client ids that get no copy. At most `MAX_EXCEPT_BYTES`. */
  except?: readonly string[] | undefined;
  /** The frame for the clients, serialised once by the sender: JSON as text, or as UTF-8 bytes from the bus. */
  frame: string | Uint8Array;
  /** May be dropped for a slow client. */
  isVolatile?: boolean | undefined;
  /** A slow client gets only the latest message with the same key. */
  conflateKey?: string | undefined;
}

/**
 * What happens to a message when a client is slow: it waits and the client may be closed, it is dropped, or a newer one
 * replaces it.
 */
export type BackpressurePolicy = 'close' | 'drop-volatile' | 'conflate';

/** What happens to a message when a client is slow: when more than `backpressure.volatileBytes` wait for it. */
export interface BackpressureOptions {
  /** True: the message is dropped. False: it waits, whatever `backpressure.policy` says. @default depends on `backpressure.policy` */
  volatile?: boolean;
  /** A slow client gets only the latest message with this key, once it has caught up. 1–128 characters. */
  conflateKey?: string;
}

/** The options of sending to several clients. */
export interface SendOptions extends BackpressureOptions {
  /** Client ids that get no copy, e.g. the sender's. Always an array, of at most 3 MiB: about 65,000 ids. */
  except?: readonly string[];
}

/** `up`: what is published goes out, and what is subscribed arrives. */
export type TransportState = 'up' | 'down';

/** What a transport calls. It never throws. */
export interface TransportListener {
  received(channel: string, payload: Buffer): void;
  /** `up` is a new beginning: nothing is subscribed. */
  stateChanged(state: TransportState): void;
  /** Something went wrong that no caller could be told of. */
  failed(error: Error, place?: string): void;
}

/** The way out of a process. */
export interface Outlet {
  /** True while what is published goes out: nothing waits for a connection. */
  readonly isOpen: boolean;
  /** Resolves when it is handed over. */
  publish(channel: string, payload: string | Buffer): Promise<unknown>;
  /** What was published in this turn goes out now. */
  flush(): void;
  /** The clock that all who are joined can read, as `TIME` of Redis tells it: seconds since the epoch, and microseconds. */
  time(): Promise<readonly (string | number)[]>;
}

/** Carries bytes between processes that know the same channels. All else is the bus's. */
export interface Transport extends Outlet {
  /** True where there is nobody else, and never will be: what is for others needn't be written. */
  readonly isAlone: boolean;
  readonly state: TransportState;
  /** Makes ready. @returns the number that tells databases of one Redis apart: pub/sub knows no walls between them */
  open(): Promise<number>;
  /** Begins to connect, and connects again whenever it must. The listener hears of it after this turn. */
  connect(listener: TransportListener): void;
  /** False for a channel that needs a command of its own. */
  sharesCommands(channel: string): boolean;
  /** Resolves when what is published on them arrives. Rejects as Redis does: a `ReplyError` is a refusal. */
  subscribe(channels: readonly string[]): Promise<unknown>;
  unsubscribe(channels: readonly string[]): Promise<unknown>;
  /** Ends every connection. */
  close(): Promise<void>;
}

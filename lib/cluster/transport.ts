/** `up`: it is connected. */
export type TransportState = 'up' | 'down';

/** What a transport calls. It never throws. */
export interface TransportListener {
  received(channel: string, payload: Buffer, way: Way): void;
  /** What is published goes out from now on, or doesn't any more. */
  outletChanged(): void;
  /** `up` is a new beginning: nothing is subscribed on it. */
  wayChanged(way: Way, state: TransportState): void;
  /** Ways came or went, or channels take another than before. */
  routesChanged(): void;
  /** Something went wrong that no caller could be told of. */
  failed(error: Error, place?: string): void;
}

/** The way out of a process. */
export interface Outlet {
  /** True while what is published goes out: nothing waits for a connection. */
  readonly isOpen: boolean;
  /** Resolves when it is handed over. @returns to how many, as far as that is known */
  publish(channel: string, payload: string | Buffer): Promise<unknown>;
  /** What was published in this turn goes out now. */
  flush(): void;
  /** The clock that all who are joined can read, as `TIME` of Redis tells it: seconds since the epoch, and microseconds. */
  time(): Promise<readonly (string | number)[]>;
}

/** A connection that hears, and can fail by itself: one, or one for each master of a Redis Cluster. */
export interface Way {
  readonly name: string;
  readonly state: TransportState;
  /** False for a channel that needs a command of its own. */
  sharesCommands(channel: string): boolean;
  /** Resolves when what is published on them arrives. */
  subscribe(channels: readonly string[]): Promise<unknown>;
  unsubscribe(channels: readonly string[]): Promise<unknown>;
  /** Gives its connection up for a new one. */
  rebuild(): void;
}

/** Carries bytes between processes that know the same channels. All else is the bus's. */
export interface Transport extends Outlet {
  /** True where there is nobody else, and never will be: what is for others needn't be written. */
  readonly isAlone: boolean;
  readonly ways: readonly Way[];
  /** The way that a channel takes; undefined while no master serves it. */
  wayOf(channel: string): Way | undefined;
  /** Makes ready. @returns the number that tells databases of one Redis apart: pub/sub knows no walls between them */
  open(): Promise<number>;
  /** Begins to connect, and connects again whenever it must. The listener hears of it after this turn. */
  connect(listener: TransportListener): void;
  /** Gives up the connection that publishes on this channel for a new one. */
  rebuildOutlet(channel: string): void;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** `up`: connected. */
export type TransportState = 'up' | 'down';

/** What a transport calls. Its methods never throw. */
export interface TransportListener {
  received(channel: string, payload: Buffer, way: Way): void;
  /** The way out opened or closed. */
  outletChanged(): void;
  /** `up`: the connection is new, without subscriptions. */
  wayChanged(way: Way, state: TransportState): void;
  /** Redis may have ended subscriptions of this way, without closing the connection. */
  subscriptionsEnded(way: Way): void;
  /** Ways were added or removed, or channels take other ways. */
  routesChanged(): void;
  /** Reports an error that no caller can catch. */
  failed(error: Error, place?: string): void;
}

/** The way out of a process. */
export interface Outlet {
  /** True while publications go out. Nothing waits for a connection. */
  readonly isOpen: boolean;
  /** True if messages arrive in the order in which they were published, whatever their channels. */
  readonly hasOneOrder: boolean;
  /** Resolves when the message is handed over. @returns the number of receivers, if it is known */
  publish(channel: string, payload: string | Buffer): Promise<unknown>;
  /** Sends what was published in this turn now. */
  flush(): void;
  /** The clock that all processes share, as Redis's `TIME`: seconds since the epoch, and microseconds. */
  time(): Promise<readonly (string | number)[]>;
}

/** A connection that receives and can fail by itself. A Redis Cluster has one for each master. */
export interface Way {
  readonly name: string;
  readonly state: TransportState;
  /** False for a channel that needs a command of its own. */
  sharesCommands(channel: string): boolean;
  /** Resolves when messages on these channels arrive. */
  subscribe(channels: readonly string[]): Promise<unknown>;
  unsubscribe(channels: readonly string[]): Promise<unknown>;
  /** Replaces its connection with a new one. */
  rebuild(): void;
}

/** Carries bytes between processes. The bus does everything else. */
export interface Transport extends Outlet {
  /** True if there are no other processes, and never will be. What is for others needn't be written. */
  readonly isAlone: boolean;
  readonly ways: readonly Way[];
  /** The way for a channel. Undefined while no master serves it. */
  wayOf(channel: string): Way | undefined;
  /**
   * Prepares the transport.
   * @returns the number of the database, which channel names contain: pub/sub of one Redis has no walls between
   * databases
   */
  open(): Promise<number>;
  /** Connects, and connects again when needed. The listener isn't called before the next turn. */
  connect(listener: TransportListener): void;
  /** Replaces the connection that publishes on this channel with a new one. */
  rebuildOutlet(channel: string): void;
  /** Closes every connection. */
  close(): Promise<void>;
}

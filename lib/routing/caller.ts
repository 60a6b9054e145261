/** Who sent the message of a call. */
export interface Caller {
  readonly session: string | undefined;
  /** Undefined for a connection that wasn't authenticated by its handshake. */
  readonly userId: string | number | undefined;
  /** The owner of the caller's keys: the user, else the session, else the connection. */
  readonly owner: string;
  /** When its connection was opened, by the monotonic clock. */
  readonly connectedAt: number;
}

/** Who sent the message of a call. */
export interface Caller {
  readonly session: string | undefined;
  /** The owner of the caller's keys: the user, else the session, else the connection. */
  readonly owner: string;
  /** When its connection was opened, by the monotonic clock. */
  readonly connectedAt: number;
}

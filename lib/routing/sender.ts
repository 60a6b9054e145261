/** Who sent a message, whatever its connection. */
export interface Sender {
  readonly session: string | undefined;
  /** The user, else the session, else the connection: nobody else has its keys. */
  readonly owner: string;
}

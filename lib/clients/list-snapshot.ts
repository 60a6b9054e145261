export interface SnapshotLimits {
  /** With more clients than this, only their number is sent. */
  readonly maxClients: number;
  /** With more bytes than this, only the number of clients is sent. */
  readonly maxBytes: number;
}

/** The public client list at one moment. It has the JSON of each client, so that it can be compared with another moment. */
export class ListSnapshot {
  private constructor(
    private readonly event: string,
    private readonly count: number,
    /** The JSON of each client, by id. Undefined for a list that is too long. */
    private readonly entries: ReadonlyMap<string, string> | undefined,
    /** The size of the whole list as a message. */
    readonly bytes: number,
  ) {}

  static of(
    clients: { readonly size: number; getClients(): Iterable<object> },
    { maxClients, maxBytes }: SnapshotLimits,
    event: string,
    failed: (error: unknown) => void,
  ): ListSnapshot {
    const count = clients.size;
    const short = frameOf('clientList', event, count);
    const tooLong = new ListSnapshot(event, count, undefined, short.length);
    if (count > maxClients) return tooLong;
    const entries = new Map<string, string>();
    let bytes = Buffer.byteLength(frameOf('clientList', event, count, '"clients":[]'));
    for (const client of clients.getClients()) {
      const json = jsonOf(client, failed);
      if (json === undefined) continue;
      bytes += Buffer.byteLength(json) + 1;
      if (bytes > maxBytes) return tooLong;
      entries.set((client as { clientId: string }).clientId, json);
    }
    return new ListSnapshot(event, count, entries, bytes);
  }

  /** True if both lists are the same. */
  equals(other: ListSnapshot): boolean {
    if (this.count !== other.count || this.entries?.size !== other.entries?.size) return false;
    for (const [clientId, json] of this.entries ?? []) if (other.entries?.get(clientId) !== json) return false;
    return true;
  }

  /** The whole list as a frame, or only the number of clients. */
  toJSON(): string {
    const clients = this.entries && `"clients":[${[...this.entries.values()].join()}]`;
    return frameOf('clientList', this.event, this.count, clients);
  }

  /** A frame with the differences to an earlier list. Undefined if one of the two lists is too long. */
  changesSince(before: ListSnapshot): string | undefined {
    const { entries } = this;
    const known = before.entries;
    if (!entries || !known) return undefined;
    const changed = [...entries].filter(([clientId, json]) => known.get(clientId) !== json).map(([, json]) => json);
    const removed = [...known.keys()].filter((clientId) => !entries.has(clientId));
    const lists = `"changed":[${changed.join()}],"removed":${JSON.stringify(removed)}`;
    return frameOf('clientListChanged', this.event, this.count, lists);
  }
}

/** A client without a JSON form is left out, so that the others still show. */
function jsonOf(client: object, failed: (error: unknown) => void): string | undefined {
  try {
    return JSON.stringify(client);
  } catch (error) {
    failed(error);
    return undefined;
  }
}

function frameOf(action: string, event: string, count: number, more?: string): string {
  const data = `{"event":${JSON.stringify(event)},"count":${count}${more ? `,${more}` : ''}}`;
  return `{"type":"system","action":"${action}","data":${data}}`;
}

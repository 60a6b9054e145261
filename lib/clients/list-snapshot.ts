export interface SnapshotLimits {
  /** Clients that may be named. */
  readonly maxClients: number;
  /** Bytes of the whole push; with more of either only the number of clients is told. */
  readonly maxBytes: number;
}

/** What the public client list says at one moment, written as JSON piece by piece, so that two moments can be compared. */
export class ListSnapshot {
  private constructor(
    private readonly event: string,
    private readonly count: number,
    /** The JSON of each client, by its id. Undefined for a list that is too long. */
    private readonly entries: ReadonlyMap<string, string> | undefined,
    /** Of the whole list, as it is pushed. */
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

  /** True when they say the same, whatever happened in between. */
  equals(other: ListSnapshot): boolean {
    if (this.count !== other.count || this.entries?.size !== other.entries?.size) return false;
    for (const [clientId, json] of this.entries ?? []) if (other.entries?.get(clientId) !== json) return false;
    return true;
  }

  /** The whole list, or only the number of clients, as a frame. */
  toJSON(): string {
    const clients = this.entries && `"clients":[${[...this.entries.values()].join()}]`;
    return frameOf('clientList', this.event, this.count, clients);
  }

  /** As a frame what makes this list of the other; undefined where one of the two is too long to name anybody. */
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

/** A client that has no JSON form is left out: the others must not be missed because of it. */
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

import type { ClientRecord } from './client-record.js';
import type { ClusterReceiver } from './cluster-receiver.js';
import { writableRecord } from './writable-record.js';

/** The clients of this node, as Redis and the other nodes get them. */
export class OwnClients {
  constructor(
    private readonly source: Pick<ClusterReceiver, 'ownRecords' | 'ownRecord'>,
    private readonly failed: (error: Error, place?: string) => void,
  ) {}

  *all(): Iterable<ClientRecord> {
    for (const record of this.source.ownRecords()) yield this.writable(record);
  }

  of(clientId: string): ClientRecord | undefined {
    const record = this.source.ownRecord(clientId);
    return record && this.writable(record);
  }

  /** The application may have changed a record so that it can't be written. That must not stop the others. */
  writable(record: ClientRecord): ClientRecord {
    return writableRecord(record, this.failed);
  }
}

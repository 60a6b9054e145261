import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { ClientTable } from './client-table.js';

/** The clients in the public list: all but those whose connection hooks may still refuse them. */
export class ListedClients {
  constructor(
    private readonly clients: Pick<ClientTable, 'size' | 'all'>,
    private readonly local: Pick<LocalDelivery, 'newcomers' | 'isNewcomer'>,
  ) {}

  get size(): number {
    return this.clients.size - this.local.newcomers;
  }

  *getClients(): Iterable<object> {
    for (const client of this.clients.all()) if (!this.local.isNewcomer(client.clientId)) yield client;
  }
}

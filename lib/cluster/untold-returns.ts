import type { NewsPiece } from './client-news.js';
import type { OwnClients } from './own-clients.js';

/**
 * Clients of this node whose return couldn't be handed over. It is told again, before anything newer, with its number: a
 * node that got it the first time drops it. Without it, subscribers would take these clients for gone.
 */
export class UntoldReturns {
  #untold: { version: number | undefined; clientIds: string[] }[] = [];

  constructor(private readonly clients: Pick<OwnClients, 'of'>) {}

  /** This piece wasn't handed over. */
  add({ version, news }: NewsPiece): void {
    const clientIds = news.filter(({ came }) => came === 'returned').map(({ clientId }) => clientId);
    if (clientIds.length > 0) this.#untold.push({ version, clientIds });
  }

  /** The clients that are still here, as they are now. */
  *take(nodeId: string): Iterable<NewsPiece> {
    for (const { version, clientIds } of this.#untold.splice(0)) {
      const records = clientIds.flatMap((clientId) => this.clients.of(clientId) ?? []);
      const news = records.map((record) => ({
        clientId: record.clientId,
        userId: record.user?.userId,
        moves: record.rooms.map((roomName) => ({ roomName, isIn: true })),
        record,
        came: 'returned' as const,
        isGone: false,
      }));
      if (news.length > 0) yield { nodeId, version, news };
    }
  }

  /** All clients are announced again. */
  clear(): void {
    this.#untold = [];
  }
}

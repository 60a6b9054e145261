import type { ClusterNode } from './cluster-node.js';
import type { PublishOrder } from './cluster-node-main.js';
import type { Ledger } from './ledger.js';
import type { Frame, Peer } from './peer.js';

/** Writes down what a client receives, as it receives it. Its frames are taken out of `peer.received`. */
export function listenTo(peer: Peer, ledger: Ledger): void {
  const { clientId: client } = peer;
  peer.ws.on('message', () => {
    const entries = peer.received.filter(isEntry);
    for (const entry of entries) {
      peer.received.splice(peer.received.indexOf(entry), 1);
      const { publisher, room, n } = entry.data as { publisher: string; room: string; n: number };
      ledger.received({ client, publisher, room, n, at: Date.now() });
    }
  });
}

const isEntry = ({ type, action }: Frame): boolean => type === 'ledger' && action === 'entry';

/** A client that is in these rooms, and whose ledger is kept from the first moment. */
export async function member(node: ClusterNode, ledger: Ledger, ...rooms: string[]): Promise<Peer> {
  const peer = await node.connect();
  listenTo(peer, ledger);
  for (const room of rooms) await join(peer, ledger, room);
  return peer;
}

export async function join(peer: Peer, ledger: Ledger, room: string): Promise<void> {
  const askedAt = Date.now();
  await peer.join(room);
  ledger.joined(peer.clientId, room, askedAt);
}

export async function leave(peer: Peer, ledger: Ledger, room: string): Promise<void> {
  const leavingAt = Date.now();
  await peer.request('system', 'leaveRoom', { roomName: room });
  ledger.left(peer.clientId, room, leavingAt);
}

/** Publishes in the background; the returned function ends it and writes down what was published. */
export function publishing(node: ClusterNode, ledger: Ledger, order: PublishOrder): () => Promise<void> {
  const published = node.call('publish', order);
  published.catch(() => undefined); // whoever ends it hears of it
  return async () => {
    await node.call('halt');
    for (const each of await published) ledger.published(each); // after some minutes too many for one call
  };
}

export async function publish(node: ClusterNode, ledger: Ledger, order: PublishOrder): Promise<void> {
  for (const each of await node.call('publish', order)) ledger.published(each);
}

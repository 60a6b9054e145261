import type { Writable } from 'node:stream';
import * as library from 'ws';

type Write = Writable['_write'];

/** `ws` exports its Receiver, a Writable, but its types leave it out. `compression.test.ts` fails when a new `ws` moves it. */
const { Receiver } = library as unknown as { Receiver?: { prototype: Writable } };

const guarded = new WeakSet<Write>();

/**
 * Passes no more chunks to a receiver that has failed. While `ws` inflates a message, Node queues the next chunks and then
 * passes them in one loop. If one of them breaks the protocol, the receiver of `ws` 8.22.2 and 8.23.0 still gets the next one, in
 * a state that it doesn't expect. It throws an error that nobody can catch.
 *
 * This changes the prototype, because `ws` creates its receivers itself. The change is right for every user of `ws`.
 * @returns false when this version of `ws` has no such class: then compression can't be offered safely
 */
export function guardReceivers(): boolean {
  const write = Receiver?.prototype._write;
  if (!Receiver || typeof write !== 'function') return false;
  if (guarded.has(write)) return true;
  const guardedWrite: Write = function guardedWrite(this: Writable, chunk, encoding, callback) {
    if (this.errored) callback();
    else write.call(this, chunk, encoding, callback);
  };
  guarded.add(guardedWrite);
  Receiver.prototype._write = guardedWrite;
  return true;
}

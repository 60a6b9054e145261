import type { Writable } from 'node:stream';
import * as library from 'ws';

type Write = Writable['_write'];

/** `ws` exports its Receiver, a Writable, but its types leave it out. `compression.test.ts` fails when a new `ws` moves it. */
const { Receiver } = library as unknown as { Receiver?: { prototype: Writable } };

const guarded = new WeakSet<Write>();

/**
 * Keeps chunks from a receiver that has failed. While `ws` inflates a message, Node queues the chunks behind it, and hands them
 * over in one loop afterwards. If one of them breaks the protocol, `ws` 8.22.2 and 8.23.0 are called with the next one all
 * the same, in a state that they don't expect: that throws, where nobody can catch it.
 *
 * It changes the prototype, because `ws` makes its receivers itself. What it adds is right for every user of `ws`.
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

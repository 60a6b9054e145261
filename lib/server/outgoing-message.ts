import { frameText } from './wire.js';

/** A message on its way to many sockets: framed once, at the first socket that takes it. */
export class OutgoingMessage {
  #frame: Buffer | undefined;

  constructor(
    /** UTF-8 JSON. */
    readonly payload: Uint8Array,
    /** May be left out for a socket that is behind. */
    readonly isVolatile = false,
    /** Of those with the same key a socket that is behind gets the latest alone. */
    readonly conflateKey?: string,
  ) {}

  get frame(): Buffer {
    return (this.#frame ??= frameText(this.payload));
  }
}

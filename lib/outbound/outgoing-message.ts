import { frameText } from './wire.js';

/** A message on its way to many sockets: made into bytes and framed once, at the first socket that takes it. */
export class OutgoingMessage {
  #payload: Uint8Array | undefined;
  #frame: Buffer | undefined;

  constructor(
    /** JSON, as text or as UTF-8. */
    private readonly json: string | Uint8Array,
    /** May be left out for a socket that is behind. */
    readonly isVolatile = false,
    /** Of those with the same key a socket that is behind gets the latest alone. */
    readonly conflateKey?: string,
  ) {}

  get payload(): Uint8Array {
    return (this.#payload ??= typeof this.json === 'string' ? Buffer.from(this.json) : this.json);
  }

  get frame(): Buffer {
    return (this.#frame ??= frameText(this.payload));
  }
}

import { frameText } from './wire.js';

/** A message to any number of sockets. It is encoded and framed once, for the first socket that takes it. */
export class OutgoingMessage {
  #payload: Uint8Array | undefined;
  #frame: Buffer | undefined;

  constructor(
    /** JSON, as a string or as UTF-8, perhaps in parts. */
    private readonly json: string | Uint8Array | readonly Uint8Array[],
    /** May be dropped for a socket that is behind. */
    readonly isVolatile = false,
    /** A socket that is behind gets only the latest message with this key. */
    readonly conflateKey?: string,
  ) {}

  get payload(): Uint8Array {
    return (this.#payload ??= typeof this.json === 'string' ? Buffer.from(this.json) : joined(this.json));
  }

  get frame(): Buffer {
    return (this.#frame ??= isInParts(this.json) ? frameText(...this.json) : frameText(this.payload));
  }
}

const isInParts = (json: string | Uint8Array | readonly Uint8Array[]): json is readonly Uint8Array[] =>
  Array.isArray(json);

const joined = (json: Uint8Array | readonly Uint8Array[]): Uint8Array => (isInParts(json) ? Buffer.concat(json) : json);

import * as library from 'ws';

/** The part of `ws` that its types leave out. `wire.test.ts` fails when a new `ws` moves it. */
interface Framing {
  Sender?: {
    frame(
      data: Uint8Array,
      options: { fin: boolean; opcode: number; mask: boolean; readOnly: boolean; rsv1: boolean },
    ): Buffer[];
  };
}

const { Sender } = library as unknown as Framing;
const TEXT_FRAME = { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false };

/** False if `ws` has moved it. Then every message goes through `ws.send()`, which is slower. */
export const canFrame = framesAsExpected();

/** One unmasked, uncompressed text frame, ready for the socket (RFC 6455 section 5.2). */
export function frameText(payload: Uint8Array): Buffer {
  return Buffer.concat((Sender as NonNullable<Framing['Sender']>).frame(payload, TEXT_FRAME));
}

function framesAsExpected(): boolean {
  try {
    return frameText(Buffer.from('{}')).equals(Buffer.from([0x81, 2, 0x7b, 0x7d]));
  } catch {
    return false;
  }
}

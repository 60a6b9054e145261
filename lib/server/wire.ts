import * as library from 'ws';

/** What of `ws` its types don't tell. `wire.test.ts` fails when a new `ws` moves it. */
interface Framing {
  Sender: {
    frame(
      data: Uint8Array,
      options: { fin: boolean; opcode: number; mask: boolean; readOnly: boolean; rsv1: boolean },
    ): Buffer[];
  };
}

const { Sender } = library as unknown as Framing;
const TEXT_FRAME = { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false };

/** One unmasked, uncompressed text frame in one piece, ready for the socket (RFC 6455 section 5.2). */
export function frameText(payload: Uint8Array): Buffer {
  return Buffer.concat(Sender.frame(payload, TEXT_FRAME));
}

/** The first byte of an unfragmented text frame: FIN, no extension, opcode 1. */
const FIN_TEXT = 0x81;

/** The length of an unmasked frame with this payload (RFC 6455 section 5.2). */
export function frameLength(payloadBytes: number): number {
  return payloadBytes + (payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10);
}

/** One unmasked, uncompressed text frame, ready for the socket. */
export function frameText(...parts: readonly Uint8Array[]): Buffer {
  let payloadBytes = 0;
  for (const { length } of parts) payloadBytes += length;
  const frame = Buffer.allocUnsafe(frameLength(payloadBytes));
  let at = writeHead(frame, 0, payloadBytes);
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

/** Writes such a frame into a buffer. @param payloadBytes the text's length in UTF-8 @returns where the frame ends */
export function writeTextFrame(into: Buffer, at: number, text: string, payloadBytes: number): number {
  const start = writeHead(into, at, payloadBytes);
  // A text with as many bytes as characters is ASCII, which is written fastest as Latin-1.
  into.write(text, start, payloadBytes, payloadBytes === text.length ? 'latin1' : 'utf8');
  return start + payloadBytes;
}

/** @returns where the payload begins */
function writeHead(into: Buffer, at: number, payloadBytes: number): number {
  into[at] = FIN_TEXT;
  if (payloadBytes < 126) {
    into[at + 1] = payloadBytes;
    return at + 2;
  }
  if (payloadBytes < 65_536) {
    into[at + 1] = 126;
    into.writeUInt16BE(payloadBytes, at + 2);
    return at + 4;
  }
  into[at + 1] = 127;
  into.writeUInt32BE(0, at + 2);
  into.writeUInt32BE(payloadBytes, at + 6);
  return at + 10;
}

const SLOTS = 16_384;

/** CRC16 (XMODEM) of each byte, as in the specification of Redis Cluster. */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/**
 * The slot of a key or channel in a Redis Cluster. If the first pair of braces isn't empty, only its content counts.
 */
export function keySlot(key: string): number {
  const open = key.indexOf('{');
  const end = open < 0 ? -1 : key.indexOf('}', open + 1);
  const text = end > open + 1 ? key.slice(open + 1, end) : key;
  let crc = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 127) return slotOfBytes(Buffer.from(text));
    crc = next(crc, code);
  }
  return crc % SLOTS;
}

function slotOfBytes(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = next(crc, byte);
  return crc % SLOTS;
}

const next = (crc: number, byte: number): number => ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ byte] as number);

/** A UUID of version 7: random, and later ones sort behind earlier ones (RFC 9562 section 5.7). */
export function newKey(): string {
  const time = hex(Date.now(), 12);
  const random = Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => hex(byte, 2)).join('');
  return (time + random).replace(/(.{8})(.{4})(...)(...)/, '$1-$2-7$3-8$4-');
}

const hex = (value: number, length: number): string => value.toString(16).padStart(length, '0');

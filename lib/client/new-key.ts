/** A UUID of version 7: random, and later ones sort behind earlier ones (RFC 9562 section 5.7). */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = Array.from(bytes, (byte, at) =>
    // Two bits say the variant.
    ((at === 8 ? (byte & 63) | 128 : byte) + 256).toString(16).slice(1),
  ).join('');
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(13, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

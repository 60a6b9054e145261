/** A UUID of version 7: random, and later ones sort behind earlier ones (RFC 9562 section 5.7). */
export function newKey(): string {
  const time = Date.now().toString(16).padStart(12, '0');
  const random = crypto.getRandomValues(new Uint8Array(31));
  return `${time.slice(0, 8)}-${time.slice(8)}-7xxx-yxxx-xxxxxxxxxxxx`.replace(/[xy]/g, (digit, at: number) =>
    (digit === 'x' ? (random[at - 15] as number) & 15 : ((random[0] as number) & 3) | 8).toString(16),
  );
}

/** A UUID of version 7: random, and later ones sort behind earlier ones (RFC 9562 section 5.7). */
export function newKey(): string {
  const time = Date.now().toString(16); // has 11 digits until the year 2527
  const random = Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => (256 + byte).toString(16).slice(1));
  return `0${time}${random.join('')}`.replace(/(.{8})(.{4})(...)(...)/, '$1-$2-7$3-8$4-');
}

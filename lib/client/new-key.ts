let last = 0;

/** A UUID of version 7: random, and later ones sort behind earlier ones (RFC 9562 section 5.7), also in one millisecond. */
export function newKey(): string {
  let text = `0${(last = Math.max(++last, Date.now())).toString(16)}`; // 12 digits until the year 2527
  for (const byte of crypto.getRandomValues(new Uint8Array(18))) text += (byte & 15).toString(16);
  return text.replace(/(.{8})(....)(...)(...)/, '$1-$2-7$3-8$4-');
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * False for text with half of a surrogate pair. Written as UTF-8 it becomes U+FFFD, so that two names would be one on the
 * other side.
 */
export const isWellFormed = (text: string): boolean => !LONE_SURROGATE.test(text);

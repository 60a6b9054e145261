const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * False for text with a lone surrogate. UTF-8 would turn it into U+FFFD, so that two different names became the same.
 */
export const isWellFormed = (text: string): boolean => !LONE_SURROGATE.test(text);

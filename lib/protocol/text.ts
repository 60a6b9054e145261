const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * False for text with a lone surrogate. UTF-8 turns it into U+FFFD, so two different names could become the same.
 */
export const isWellFormed = (text: string): boolean => !LONE_SURROGATE.test(text);

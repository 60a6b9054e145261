import { createHash } from 'node:crypto';

/** A short name for a text, from which the text can't be told: 22 characters. */
export const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 22);

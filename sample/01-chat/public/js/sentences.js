import { ConnectionError, ErrorCode, RemoteError } from '@scpxl/nestjs-websocket/client';

/** The messages of the module are for developers. For people, its codes have sentences here. */
const SENTENCES = {
  [ErrorCode.Forbidden]: 'You are not in this room. Join it first.',
  [ErrorCode.RateLimited]: 'That was too much at once. Wait a moment.',
  [ErrorCode.RoomLimit]: 'You are in as many rooms as the server allows. Leave one first.',
  [ErrorCode.Timeout]: 'The server takes too long to answer. Try again.',
  [ErrorCode.Unavailable]: 'The server is busy. Try again in a moment.',
};
const MODULE_CODES = Object.values(ErrorCode);

/** What to tell people of an error. The sentences of a sample's own checks on the server are for people, too. */
export function sentenceOf(error) {
  if (error instanceof ConnectionError) return 'There was no connection. Try again.';
  const { code, details, message } = error;
  const flaws = code === ErrorCode.ValidationFailed ? [details].flat().filter((flaw) => typeof flaw === 'string') : [];
  if (flaws.length > 0) return flaws.join(' ');
  const isOwn = error instanceof RemoteError && !MODULE_CODES.includes(code);
  return isOwn ? message : (SENTENCES[code] ?? 'Something went wrong. Try again.');
}

export const missedSentence = (count) => (count === 1 ? 'You missed a message.' : `You missed ${count} messages.`);

/** Why the server couldn't give what was missed, and the messages were loaded again. */
export function resetSentence(reason) {
  const isLate = reason === 'expired' || reason === 'too-far-behind';
  return `${isLate ? 'You were away for long' : 'The server started anew'}, so the messages were loaded again.`;
}

import { fieldsOf } from './fields.js';
import { writeJson } from './json-form.js';
import type { ErrorFrameData, RequestId } from './message.js';
import { isRequestId, isRouteName, NAME_RULE } from './names.js';

/** A frame that was read. */
export type DecodedFrame =
  /** `at`: its place in a room with history. Not checked. */
  | {
      kind: 'message';
      type: string;
      action: string;
      data: unknown;
      id: RequestId | undefined;
      at: unknown;
      /** The key of a message that may be sent again: the same each time. Not checked. */
      key: unknown;
      /** Of a message that is sent again: milliseconds since the first time. Not checked. */
      sentMsAgo: unknown;
      /** Counts up after each refusal for the rate. Not checked. */
      round: unknown;
    }
  | {
      kind: 'reply';
      type: string;
      action: string;
      id: RequestId | undefined;
      response: unknown;
      more: boolean;
      done: boolean;
    }
  | { kind: 'error'; id: RequestId | undefined; data: ErrorFrameData }
  /** `isAnswer`: it looks like the answer to a request of ours, so its id is one of ours, not of the peer's. */
  | { kind: 'bad'; reason: string; id: RequestId | undefined; isAnswer: boolean };

/** The default of `messages.maxDepth`. Deeper JSON is refused, so that no handler recurses over it. */
export const MAX_DEPTH = 32;
/** The maximum of `messages.maxDepth`: this check and `JSON.stringify()` recurse. */
export const DEEPEST = 1_000;

/** Reads one frame. Never throws. `reason` says what is wrong, without the peer's text. */
export function decodeFrame(text: string, maxDepth: number = MAX_DEPTH): DecodedFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return bad('The frame is not a JSON object.', {});
  }
  const frame = value as Record<string, unknown>;
  const id = frame['id'] as RequestId | undefined;
  if (id !== undefined && !isRequestId(id)) return bad('"id" must be 1–64 characters or a safe integer.', {});
  const { type, action } = frame;
  if (!isRouteName(type)) return bad(`"type" ${NAME_RULE}`, frame, id);
  if (!isRouteName(action)) return bad(`"action" ${NAME_RULE}`, frame, id);
  const flaw = findFlaw(frame, Math.min(maxDepth, DEEPEST));
  if (flaw) return bad(flaw, frame, id);

  if (type === 'error' && action === 'message') return { kind: 'error', id, data: readError(frame['data']) };
  const done = frame['done'] === true;
  if (done || Object.hasOwn(frame, 'response')) {
    return { kind: 'reply', type, action, id, response: frame['response'], more: frame['more'] === true, done };
  }
  const { data, at, key, sentMsAgo, round } = frame;
  return { kind: 'message', type, action, data, id, at, key, sentMsAgo, round };
}

/**
 * Writes a reply. The names were checked when the request came, so they need no escaping.
 * @throws {TypeError} when the response has no JSON form
 */
export function encodeReply(
  to: { type: string; action: string; id?: RequestId | undefined },
  response: unknown,
  more = false,
): string {
  return `${replyHead(to)},"response":${writeJson(response ?? null, 'response')}${more ? ',"more":true}' : '}'}`;
}

/** Writes a reply whose response is JSON already. */
export function encodeJsonReply(
  to: { type: string; action: string; id?: RequestId | undefined },
  json: string,
): string {
  return `${replyHead(to)},"response":${json}}`;
}

/** Writes the end of a stream. */
export function encodeStreamEnd(to: { type: string; action: string; id?: RequestId | undefined }): string {
  return `${replyHead(to)},"done":true}`;
}

function replyHead({ type, action, id }: { type: string; action: string; id?: RequestId | undefined }): string {
  const head = `{"type":"${type}","action":"${action}"`;
  if (id === undefined) return head;
  return `${head},"id":${typeof id === 'number' ? id : JSON.stringify(id)}`;
}

function bad(reason: string, frame: Record<string, unknown>, id?: RequestId): DecodedFrame {
  const isError = frame['type'] === 'error' && frame['action'] === 'message';
  const isAnswer = isError || frame['done'] === true || Object.hasOwn(frame, 'response');
  return { kind: 'bad', reason, id, isAnswer };
}

function readError(data: unknown): ErrorFrameData {
  const given: Partial<ErrorFrameData> = fieldsOf(data);
  return {
    ...given,
    error: typeof given.error === 'string' ? given.error : 'The peer reported an error.',
    code: typeof given.code === 'string' ? given.code : 'INTERNAL',
  };
}

/** `JSON.parse` makes `__proto__` an own property. It would do harm where objects are merged, so it is refused here. */
function findFlaw(value: object, depthLeft: number): string | undefined {
  if (depthLeft === 0) return 'The frame is nested too deeply.';
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) {
      if (typeof item === 'object' && item !== null) {
        const flaw = findFlaw(item, depthLeft - 1);
        if (flaw) return flaw;
      }
    }
    return undefined;
  }
  for (const key in value) {
    if (key === '__proto__') return 'The frame has a forbidden key.';
    const item = (value as Record<string, unknown>)[key];
    if (typeof item === 'object' && item !== null) {
      const flaw = findFlaw(item, depthLeft - 1);
      if (flaw) return flaw;
    }
  }
  return undefined;
}

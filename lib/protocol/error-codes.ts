const CODES = [
  'BAD_FRAME',
  'BAD_REQUEST',
  'UNKNOWN_ROUTE',
  'VALIDATION_FAILED',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'CONFLICT',
  'RATE_LIMITED',
  'TIMEOUT',
  'CANCELLED',
  'UNAVAILABLE',
  'ROOM_NAME_INVALID',
  'ROOM_FORBIDDEN',
  'ROOM_LIMIT',
  'DUPLICATE_ID',
  'STREAM_LIMIT',
  'ORIGIN_FORBIDDEN',
  'UPGRADE_REQUIRED',
  'OVER_CAPACITY',
  'SHUTTING_DOWN',
  'CONNECTION_LIMIT',
  'UNKNOWN_ORDER',
  'NOT_IN_ROOM',
  'UNKNOWN_OUTCOME',
  'KEY_REUSED',
  'IN_DOUBT',
  'MESSAGE_TOO_LARGE',
  'PRESENCE_DATA_TOO_LARGE',
  'INTERNAL',
] as const;

export type ErrorCode = (typeof CODES)[number];

type PascalCase<Name extends string> = Name extends `${infer Head}_${infer Rest}`
  ? `${PascalCase<Head>}${PascalCase<Rest>}`
  : Capitalize<Lowercase<Name>>;

/**
 * Codes of error frames (`data.code`) and of HTTP refusals before the upgrade (`code`), e.g. `ErrorCode.BadFrame`. They never
 * change their meaning.
 */
export const ErrorCode = Object.fromEntries(
  CODES.map((code) => [code.toLowerCase().replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase()), code]),
) as { readonly [Code in ErrorCode as PascalCase<Code>]: Code };

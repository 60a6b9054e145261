const NAMES = [
  'BadFrame',
  'BadRequest',
  'UnknownRoute',
  'ValidationFailed',
  'Unauthenticated',
  'Forbidden',
  'NotFound',
  'Conflict',
  'RateLimited',
  'Timeout',
  'Cancelled',
  'Unavailable',
  'RoomNameInvalid',
  'RoomForbidden',
  'RoomLimit',
  'DuplicateId',
  'StreamLimit',
  'OriginForbidden',
  'UpgradeRequired',
  'OverCapacity',
  'ShuttingDown',
  'ConnectionLimit',
  'UnknownOrder',
  'NotInRoom',
  'UnknownOutcome',
  'KeyReused',
  'InDoubt',
  'MessageTooLarge',
  'PresenceDataTooLarge',
  'Internal',
] as const;

type Name = (typeof NAMES)[number];

type UpperCase<N extends string, Before extends string = ''> = N extends `${infer Letter}${infer Rest}`
  ? `${Letter extends Lowercase<Letter> ? '' : Before}${Uppercase<Letter>}${UpperCase<Rest, '_'>}`
  : '';

export type ErrorCode = UpperCase<Name>;

/**
 * Codes of error frames (`data.code`) and of HTTP refusals before the upgrade (`code`), e.g. `ErrorCode.BadFrame`. They never
 * change their meaning.
 */
export const ErrorCode = Object.fromEntries(
  NAMES.map((name) => [name, name.replace(/\B[A-Z]/g, '_$&').toUpperCase()]),
) as { readonly [N in Name]: UpperCase<N> };

/** Codes of error frames (`data.code`) and of HTTP refusals before the upgrade (`code`). They never change their meaning. */
export const ErrorCode = {
  BadFrame: 'BAD_FRAME',
  BadRequest: 'BAD_REQUEST',
  UnknownRoute: 'UNKNOWN_ROUTE',
  ValidationFailed: 'VALIDATION_FAILED',
  Unauthenticated: 'UNAUTHENTICATED',
  Forbidden: 'FORBIDDEN',
  NotFound: 'NOT_FOUND',
  Conflict: 'CONFLICT',
  RateLimited: 'RATE_LIMITED',
  Timeout: 'TIMEOUT',
  Cancelled: 'CANCELLED',
  Unavailable: 'UNAVAILABLE',
  RoomNameInvalid: 'ROOM_NAME_INVALID',
  RoomForbidden: 'ROOM_FORBIDDEN',
  RoomLimit: 'ROOM_LIMIT',
  DuplicateId: 'DUPLICATE_ID',
  StreamLimit: 'STREAM_LIMIT',
  OriginForbidden: 'ORIGIN_FORBIDDEN',
  UpgradeRequired: 'UPGRADE_REQUIRED',
  OverCapacity: 'OVER_CAPACITY',
  ShuttingDown: 'SHUTTING_DOWN',
  ConnectionLimit: 'CONNECTION_LIMIT',
  UnknownOrder: 'UNKNOWN_ORDER',
  Internal: 'INTERNAL',
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

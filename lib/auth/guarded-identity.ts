import { type AuthenticatedUser, type Identity, identityOf } from './identity.js';

type Fields = Record<string, unknown>;

/** The user as guards and hooks see it: the fields of the payload, with `userId` and `payload` added. */
export const userForGuards = (identity: Identity | null): object | undefined =>
  identity ? { ...identity.user.payload, ...identity.user } : undefined;

/**
 * The identity that guards set, where no authentication is configured: `request.user`, as `{ userId }` or as the claims of a
 * token (`{ sub, exp }`).
 * @param now milliseconds since the epoch
 * @throws {TypeError} for a user without an id: it must not count as anonymous
 * @throws {AuthenticationError} when it has expired already
 */
export function identityOfGuards(user: unknown, now: number): Identity | null {
  if (user === undefined || user === null || user === false) return null;
  const fields = user as Fields;
  const { userId = fields['sub'], payload, expiresAt } = fields;
  if (userId === undefined || userId === null)
    throw new TypeError(
      'A guard of connect.guards set a request.user without an id. Set { userId, … } or { sub, … }, or leave it unset for an anonymous client.',
    );
  return identityOf(
    {
      userId: userId as string,
      payload: isObject(payload) ? payload : fields,
      expiresAt: (expiresAt ?? inMs(fields['exp'])) as AuthenticatedUser['expiresAt'],
    },
    'connect.guards',
    now,
  );
}

const inMs = (seconds: unknown): number | undefined => (typeof seconds === 'number' ? seconds * 1_000 : undefined);

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

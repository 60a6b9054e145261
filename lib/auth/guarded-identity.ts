import { type AuthenticatedUser, type Identity, identityOf } from './identity.js';

type Fields = Record<string, unknown>;

/** A user as guards and hooks see it: the payload's fields, with `userId` and `payload` besides. */
export const userForGuards = (identity: Identity | null): object | undefined =>
  identity ? { ...identity.user.payload, ...identity.user } : undefined;

/**
 * Whom the guards made of the request where no authentication is configured: what they left as `request.user`, `{ userId }` or
 * the claims of a token (`{ sub, exp }`).
 * @throws {TypeError} for a user that has no id: taking it for nobody would let somebody in as somebody else than meant
 * @throws {AuthenticationError} when it has expired already
 */
export function identityOfGuards(user: unknown): Identity | null {
  if (user === undefined || user === null || user === false) return null;
  const fields = user as Fields;
  const { userId = fields['sub'], payload, expiresAt } = fields;
  if (userId === undefined || userId === null)
    throw new TypeError(
      'A guard of connect.guards set a request.user without an id. Set { userId, … } or { sub, … }, or nothing for nobody.',
    );
  return identityOf(
    {
      userId: userId as string,
      payload: isObject(payload) ? payload : fields,
      expiresAt: (expiresAt ?? inMs(fields['exp'])) as AuthenticatedUser['expiresAt'],
    },
    'connect.guards',
  );
}

const inMs = (seconds: unknown): number | undefined => (typeof seconds === 'number' ? seconds * 1_000 : undefined);

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

import { type JWTPayload, SignJWT, type KeyObject } from 'jose';

export const SECRET = 'a secret of at least thirty-two bytes';

interface TokenOptions {
  /** Seconds from now; undefined: without `exp`. */
  expiresIn?: number | undefined;
  key?: KeyObject | CryptoKey | Uint8Array;
  algorithm?: string;
  kid?: string;
}

/** A signed token of a user; by default HS256 with `SECRET`, for an hour. */
export function tokenFor(
  sub: string | undefined,
  claims: JWTPayload = {},
  { key = new TextEncoder().encode(SECRET), algorithm = 'HS256', kid, ...options }: TokenOptions = {},
): Promise<string> {
  const now = Date.now() / 1_000;
  const expiresIn = 'expiresIn' in options ? options.expiresIn : 3_600;
  return new SignJWT({
    ...(sub !== undefined && { sub }),
    ...(expiresIn !== undefined && { exp: now + expiresIn }),
    ...claims,
  })
    .setProtectedHeader({ alg: algorithm, ...(kid !== undefined && { kid }) })
    .sign(key);
}

export const bearer = (token: string): { headers: Record<string, string> } => ({
  headers: { authorization: `Bearer ${token}` },
});

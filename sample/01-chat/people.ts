import { createHash } from 'node:crypto';
import { type AuthOptions, type PresenceRuleOptions, tokenOf } from '@scpxl/nestjs-websocket';

/**
 * Every room tells its members who is there. Who reloads the page, or comes back on another node, is back before the grace ends,
 * and nobody sees it.
 */
export const presence: PresenceRuleOptions[] = [{ match: '*', graceMs: 4_000 }];

/**
 * There are no accounts here. A browser makes up a secret, and others see only its digest: so the tabs of one person are one
 * person, and nobody can pretend to be another one.
 */
export const auth: AuthOptions = {
  required: false,
  authenticate: (request) => {
    const secret = tokenOf(request);
    if (secret === undefined) return null;
    return { userId: createHash('sha256').update(secret).digest('base64url').slice(0, 16), payload: {} };
  },
};

import type { IncomingMessage } from 'node:http';

const SCHEME_AND_AUTHORITY = /^(?:https?|wss?):\/\/([^/?]*)/i;
/** A host with or without a port, and without user information. */
const AUTHORITY = /^[^\s@\\#]+$/;

/** The path as it was sent, not decoded. */
export function pathOf({ url = '' }: IncomingMessage): string {
  const target = originForm(url);
  const end = target.indexOf('?');
  return end === -1 ? target : target.slice(0, end);
}

/** Path and query of a request target: `/ws?a=1` for `http://example.com/ws?a=1`, too. */
export function originForm(target: string): string {
  if (target.startsWith('/')) return target;
  const absolute = SCHEME_AND_AUTHORITY.exec(target);
  if (!absolute) return target;
  const rest = target.slice(absolute[0].length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * Accepts a request target in absolute form. Its authority is then the host, whatever `Host` says (RFC 9112 section 3.2.2).
 * Afterwards the request looks as if it had origin form.
 * @returns false for an invalid authority
 */
export function takeAbsoluteForm(request: IncomingMessage): boolean {
  const { url = '' } = request;
  const authority = SCHEME_AND_AUTHORITY.exec(url)?.[1];
  if (authority === undefined) return true;
  if (!AUTHORITY.test(authority) || !URL.canParse(`http://${authority}`)) return false;
  request.url = originForm(url);
  request.headers.host = authority;
  return true;
}

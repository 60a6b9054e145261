import { nearestName } from '../protocol/nearest-name.js';

/** Options that people write although they don't exist, and what to write instead. */
const REMEDIES: Record<string, string> = {
  controllersDirectory: 'is gone: put @WsRoute(type, action) on a method of any provider',
  name: 'is not an option here: write it in forRoot({ name }), or beside useFactory in forRootAsync({ name, useFactory })',
  subscriberHandlers:
    'is gone: put @WsSubscribe(channel) on a method of any provider, or give "subscriberEventHandler"',
  'rooms.enabled':
    'is gone: rooms are always there. Remove it; "rooms.authorizeJoin: () => false" keeps clients from joining by themselves',
  'debug.printConnectedClients': 'is gone: remove it, and print clientManager.getClients() where you want to see them',
  port: 'is not an option: the server listens where the application does. Write app.listen(port)',
  server: 'is not an option: the server listens where the application does. Write app.listen(port)',
  cors: 'is not an option: WebSockets know no CORS. Name the pages that may connect in "origins"',
};

/**
 * What is wrong with an option that doesn't exist.
 * @param name with its section, e.g. `drain.spreadMS`
 * @param known the names of all options, with their sections
 */
export function unknownOption(name: string, known: readonly string[]): string {
  if (Object.hasOwn(REMEDIES, name)) return `"${name}" ${REMEDIES[name]}`;
  const [section, field] = split(name);
  const siblings = known.filter((other) => split(other)[0] === section).map((other) => split(other)[1]);
  const nearest = nearestName(field, siblings);
  if (nearest !== undefined) return `"${name}" is not an option: did you mean "${section}${nearest}"?`;
  const elsewhere = known.filter((other) => split(other)[1] === field);
  if (elsewhere.length > 0) return `"${name}" is not an option: did you mean "${elsewhere.join('" or "')}"?`;
  return `"${name}" is not an option: remove it or mend its spelling`;
}

/** `drain.` and `spreadMs` of `drain.spreadMs`. */
function split(name: string): [section: string, field: string] {
  const end = name.lastIndexOf('.') + 1;
  return [name.slice(0, end), name.slice(end)];
}

import type { ClientTable } from '../clients/client-table.js';
import type { Connections } from '../connection/connections.js';
import { isAuthenticated } from '../connection/server-socket.js';
import { addressReader } from '../limits/client-address.js';
import type { ErrorReport } from '../observe/error-report.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { PathPattern } from '../protocol/path-pattern.js';
import { ConnectionLimits } from './connection-limits.js';
import { Refusals } from './refusals.js';
import { UpgradeListener } from './upgrade-listener.js';

/** Decides who gets a socket. */
export function composeAdmission(
  options: ResolvedOptions,
  table: ClientTable,
  connections: Connections,
  report: ErrorReport,
) {
  const { events, auth, trustProxy } = options;
  const path = new PathPattern(options.path);
  const addressOf = addressReader(trustProxy);
  const refusals = new Refusals({
    addressOf,
    cookieName: auth?.cookieName,
    refused: (handshake) => report.contain('events.onRefused', () => events.onRefused?.(handshake)),
  });
  // Limits by user count what is known of other nodes' clients. Of this node, they count clients whose handshake named
  // a user.
  const limits = new ConnectionLimits(
    options.limits,
    (userId) => [...table.ofUser(userId)].filter((client) => client.ws === null || isAuthenticated(client)).length,
  );
  const failed = (error: unknown, place: string): void => report.failed(error, place);
  const entrance = { options, path, limits, refusals, connections, addressOf, failed };
  return { refusals, listener: new UpgradeListener(path, refusals), entrance };
}

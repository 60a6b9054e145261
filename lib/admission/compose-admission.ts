import type { Clock } from '../clock.js';
import type { Connections } from '../connection/connections.js';
import { addressReader } from '../limits/client-address.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { PathPattern } from '../protocol/path-pattern.js';
import { ConnectionLimits } from './connection-limits.js';
import { Entrance } from './entrance.js';
import { Refusals } from './refusals.js';

export interface AdmissionParts {
  readonly options: ResolvedOptions;
  /** Counts the connections of an authenticated user, on other nodes too. */
  connectionsOf(userId: string | number): number;
  readonly connections: Connections;
  readonly clock: Clock;
  readonly report: {
    /** Calls code of the application. Its error is reported and goes no further. */
    contain(place: string, call: () => unknown): void;
    failed(error: unknown, place: string): void;
  };
}

/** Decides who gets a socket. */
export function composeAdmission({ options, connectionsOf, connections, clock, report }: AdmissionParts) {
  const { events, auth, trustProxy } = options;
  const addressOf = addressReader(trustProxy);
  const refusals = new Refusals(
    {
      addressOf,
      cookieName: auth?.cookieName,
      refused: (handshake) => report.contain('events.onRefused', () => events.onRefused?.(handshake)),
    },
    clock,
  );
  const entrance = new Entrance({
    options,
    path: new PathPattern(options.path),
    limits: new ConnectionLimits(options.limits, connectionsOf, clock),
    refusals,
    connections,
    addressOf,
    clock,
    failed: (error, place) => report.failed(error, place),
  });
  return { refusals, entrance };
}

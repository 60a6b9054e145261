import { sayDeprecated } from '../deprecated.js';
import type { ServerOptions } from './websocket-options.js';

const RENAMED = [
  ['inactiveTime', 'inactiveTimeMs'],
  ['intervalCheckTime', 'intervalCheckTimeMs'],
] as const;

/** Names options that are given under their old and their new name: it is unclear which one counts. */
export function* oldNameFlaws({ disconnectInactiveClients: idle, delivery }: ServerOptions): Generator<string> {
  if (delivery?.flush !== undefined && delivery.flushGapMs !== undefined)
    yield '"delivery.flushGapMs" is the old way to write "delivery.flush: { gapMs }", and both are given: remove "flushGapMs"';
  for (const [before, now] of RENAMED) {
    if (idle && idle[before] !== undefined && idle[now] !== undefined)
      yield (
        `"disconnectInactiveClients.${before}" is the old name of "disconnectInactiveClients.${now}", and both are given: ` +
        `remove "${before}"`
      );
  }
}

/** Replaces old names by new ones. Warns once of each. */
export function withNewNames(given: ServerOptions): ServerOptions {
  return withNewIdleNames(withNewFlush(given));
}

function withNewFlush(given: ServerOptions): ServerOptions {
  const { flushGapMs, ...delivery } = given.delivery ?? {};
  if (flushGapMs === undefined) return given;
  sayDeprecated('"delivery.flushGapMs"', 'Write "delivery: { flush: { gapMs } }", in milliseconds as before.');
  return { ...given, delivery: { ...delivery, flush: flushGapMs === 0 ? 'turn' : { gapMs: flushGapMs } } };
}

function withNewIdleNames(given: ServerOptions): ServerOptions {
  const { clientList, disconnectInactiveClients: idle } = given;
  // Without the list, its public fields still decide what `client.toJSON()` shows, so `false` can't replace both.
  if (clientList && clientList.enabled === false && clientList.publicFields === undefined)
    sayDeprecated('"clientList.enabled: false"', 'Write "clientList: false".');
  if (!idle) return given;
  if (idle.enabled === false)
    sayDeprecated('"disconnectInactiveClients.enabled: false"', 'Write "disconnectInactiveClients: false".');
  if (idle.enabled === true)
    sayDeprecated('"disconnectInactiveClients.enabled: true"', 'Leave it out: the object alone switches it on.');
  const { inactiveTime, intervalCheckTime, ...rest } = idle;
  for (const [before, now] of RENAMED)
    if (idle[before] !== undefined)
      sayDeprecated(`"disconnectInactiveClients.${before}"`, `Write "${now}", in milliseconds as before.`);
  return {
    ...given,
    disconnectInactiveClients: {
      ...rest,
      ...(inactiveTime !== undefined && { inactiveTimeMs: inactiveTime }),
      ...(intervalCheckTime !== undefined && { intervalCheckTimeMs: intervalCheckTime }),
    },
  };
}

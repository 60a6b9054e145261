import { nearestName } from '../protocol/nearest-name.js';
import { CLIENT_DEFAULTS } from './client-defaults.js';
import { CLIENT_OPTIONS, type ClientFields } from './client-option-table.js';
import type { WebSocketClientOptions } from './client-options.js';
import { pageUrl } from './resolve-client-options.js';
import { socketUrlOf, URL_FLAW } from './socket-url.js';

/** What is wrong with the options of a client in Node, and what to write instead. @param more options besides every client's */
export function optionFlaws(options: WebSocketClientOptions<never>, more: ClientFields): string[] {
  const { url, reconnect } = options;
  const isUrl = typeof url === 'function' || socketUrlOf(url, pageUrl());
  const flaws = [...(isUrl ? [] : [URL_FLAW]), ...flawsOf('', { ...CLIENT_OPTIONS, ...more }, options)];
  const { minDelayMs, maxDelayMs } = { ...CLIENT_DEFAULTS.reconnect, ...reconnect };
  if (minDelayMs > maxDelayMs)
    flaws.push('reconnect.minDelayMs is longer than reconnect.maxDelayMs. Exchange the two.');
  return flaws;
}

function flawsOf(prefix: string, table: ClientFields, given: object): string[] {
  const names = Object.keys(table);
  return Object.entries(given).flatMap(([field, value]: [string, unknown]) => {
    const name = prefix + field;
    if (value === undefined) return [];
    if (names.includes(field)) {
      if (value === null) return [];
      const { check, fields } = table[field] ?? {};
      if (check && !check.holds(value))
        return `${name} is not ${check.must}.`.replace('not false or', 'neither false nor');
      return fields && value ? flawsOf(`${name}.`, fields, value) : [];
    }
    const nearest = nearestName(field, names);
    const remedy = nearest ? `Did you mean ${prefix}${nearest}?` : `Remove it. There are ${names.join(', ')}.`;
    return `${name} is not an option. ${remedy}`;
  });
}

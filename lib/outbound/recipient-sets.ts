import type { Recipient } from './recipient.js';

export const NOBODY: ReadonlySet<Recipient> = new Set();

export function pick(recipients: ReadonlyMap<string, Recipient>, clientIds: readonly string[]): Iterable<Recipient> {
  const picked = new Set<Recipient>();
  for (const clientId of clientIds) {
    const recipient = recipients.get(clientId);
    if (recipient) picked.add(recipient);
  }
  return picked;
}

export function membersOfAny(
  map: ReadonlyMap<string, ReadonlySet<Recipient>>,
  keys: readonly string[],
): Iterable<Recipient> {
  const [only] = keys;
  if (only !== undefined && keys.length === 1) return map.get(only) ?? NOBODY;
  const members = new Set<Recipient>();
  for (const key of keys) for (const recipient of map.get(key) ?? NOBODY) members.add(recipient);
  return members;
}

/** @returns true if the recipient is the first one of this key */
export function addTo(map: Map<string, Set<Recipient>>, key: string, recipient: Recipient): boolean {
  const recipients = map.get(key);
  if (recipients) recipients.add(recipient);
  else map.set(key, new Set([recipient]));
  return !recipients;
}

/** @returns true if the recipient was the last one of this key */
export function removeFrom(map: Map<string, Set<Recipient>>, key: string, recipient: Recipient): boolean {
  const recipients = map.get(key);
  if (!recipients?.delete(recipient) || recipients.size > 0) return false;
  return map.delete(key);
}

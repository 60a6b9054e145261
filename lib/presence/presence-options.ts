import { BYTES, COUNT_OR_0, isObject, TIME_OR_0 } from '../options/checks.js';
import { fieldFlaws, fill, namesIn, type Table } from '../options/option-table.js';
import { MATCH, matcherOf } from '../options/room-match.js';

/**
 * Rooms whose members see which users are in them. The first rule that matches a room's name applies. Give every node the same rules.
 */
export interface PresenceRuleOptions {
  /**
   * The room names: exact text, text with `*` for any characters (`'chat:*'`), or a RegExp that begins with `^` and
   * ends with `$`.
   */
  match: string | RegExp;
  /**
   * Milliseconds that a user whose last connection ended still counts as present: a user that comes back within them was
   * never gone. An anonymous client that sends no session can't come back as the same user.
   * @default 10_000
   */
  graceMs?: number;
  /** With more users in the room, its members get only their number. @default 200 */
  maxUsers?: number;
  /** The same limit in bytes, of the users' ids and presence data. @default 262_144 */
  maxBytes?: number;
  /** Milliseconds in which changes are collected before members get them. @default 100 */
  coalesceMs?: number;
  /** Bytes of JSON that the presence data of a member may have. More is refused with `PRESENCE_DATA_TOO_LARGE`. @default 1_024 */
  dataBytes?: number;
}

/** A rule, with its defaults. */
export interface PresenceRule {
  graceMs: number;
  maxUsers: number;
  maxBytes: number;
  coalesceMs: number;
  dataBytes: number;
}

const PRESENCE_RULE = {
  match: { check: MATCH },
  graceMs: { default: 10_000, check: TIME_OR_0 },
  maxUsers: { default: 200, check: COUNT_OR_0, unit: 'users' },
  maxBytes: { default: 262_144, check: BYTES },
  coalesceMs: { default: 100, check: TIME_OR_0 },
  dataBytes: { default: 1_024, check: BYTES },
} satisfies Table<PresenceRuleOptions>;

export function* presenceFlaws(given: readonly PresenceRuleOptions[] | undefined): Generator<string> {
  if (!Array.isArray(given)) return;
  for (const [at, rule] of (given as PresenceRuleOptions[]).entries()) {
    if (!isObject(rule)) continue;
    const name = `presence[${at}]`;
    yield* fieldFlaws(PRESENCE_RULE, rule, namesIn(PRESENCE_RULE, `${name}.`), `${name}.`);
    if (rule.match === undefined) yield `"${name}.match" is missing: say which rooms, e.g. 'chat:*'`;
  }
}

/** Finds the rule of a room. */
export class PresenceRules {
  readonly #rules: readonly (PresenceRule & { matches: (room: string) => boolean })[];

  constructor(given: readonly PresenceRuleOptions[]) {
    this.#rules = given.map((rule) => ({ ...fill(PRESENCE_RULE, rule), matches: matcherOf(rule.match) }));
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  of(room: string): PresenceRule | undefined {
    return this.#rules.find(({ matches }) => matches(room));
  }
}

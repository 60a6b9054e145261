import { BYTES, COUNT, isObject, oneOf, TIME } from '../options/checks.js';
import { fieldFlaws, fill, namesIn, type Table } from '../options/option-table.js';
import { MATCH, matcherOf } from '../options/room-match.js';
import type { HistoryRule } from './history-rule.js';
import { textOfRule } from './rule-watch.js';

/**
 * Rooms that keep their messages. The first rule that matches a room's name applies. Give every node the same rules.
 */
export interface HistoryRuleOptions {
  /**
   * The room names: exact text, text with `*` for any characters (`'chat:*'`), or a RegExp that begins with `^` and
   * ends with `$`.
   */
  match: string | RegExp;
  /** `log`: messages in order. `last`: only the newest, which everybody who joins gets. @default 'log' */
  mode?: 'log' | 'last';
  /** Messages that are kept. @default 500 */
  size?: number;
  /** Milliseconds that each message is kept. @default 300_000 */
  ttlMs?: number;
  /** Bytes that are kept of a room. A larger message is refused with `MESSAGE_TOO_LARGE`. @default 1_048_576 */
  maxBytes?: number;
  /**
   * A client that missed more messages gets `recovered: false`, `reason: 'too-far-behind'`.
   * @default 500, at most `size`
   */
  recoverMax?: number;
  /** The same in bytes. @default `maxBytes` */
  recoverMaxBytes?: number;
  /** Milliseconds that an idempotency key is remembered. @default 300_000, at most `metaTtlMs` */
  keyTtlMs?: number;
  /**
   * Milliseconds that a room without members and new messages is remembered. At least `ttlMs`, `keyTtlMs` and three times
   * `checkMs`. A room that never had a message is remembered for `ttlMs` or `keyTtlMs`, whichever is longer.
   * @default 86_400_000
   */
  metaTtlMs?: number;
  /**
   * After how many milliseconds of quiet a room is checked for messages that didn't arrive here.
   * @default 15_000, at most a third of `metaTtlMs`
   */
  checkMs?: number;
  /**
   * When a publication is answered. `replicated`: once a replica of Redis has it, too; `UNKNOWN_OUTCOME` when none has within a
   * second. @default 'stored'
   */
  ack?: 'stored' | 'replicated';
  /**
   * What happens when Redis was restarted or failed over. `reset`: messages may be lost, so members start again.
   * `trust`: it has everything (append-only file with `appendfsync always`, no failover).
   * @default 'reset'
   */
  onRestart?: 'reset' | 'trust';
}

/** A check keeps a room remembered, and a busy interval has none. So `metaTtlMs` must have room for this many intervals. */
const CHECKS = 3;

const HISTORY_RULE = {
  match: { check: MATCH },
  mode: { default: 'log', check: oneOf('log', 'last') },
  size: { default: 500, check: COUNT, unit: 'publications' },
  ttlMs: { default: 300_000, check: TIME },
  maxBytes: { default: 1_048_576, check: BYTES },
  recoverMax: {
    default: 500,
    fit: ({ recoverMax, size }) => Math.min(recoverMax, size),
    check: COUNT,
    unit: 'publications',
  },
  recoverMaxBytes: {
    default: 1_048_576,
    fit: ({ maxBytes }) => maxBytes,
    check: BYTES,
  },
  keyTtlMs: {
    default: 300_000,
    fit: ({ keyTtlMs, metaTtlMs }) => Math.min(keyTtlMs, metaTtlMs),
    check: TIME,
  },
  metaTtlMs: {
    default: 86_400_000,
    fit: ({ metaTtlMs, ttlMs, keyTtlMs, checkMs }) => Math.max(metaTtlMs, ttlMs, keyTtlMs, CHECKS * checkMs),
    check: TIME,
  },
  checkMs: {
    default: 15_000,
    fit: ({ checkMs, metaTtlMs }) => Math.min(checkMs, Math.max(1, Math.floor(metaTtlMs / CHECKS))),
    check: TIME,
  },
  ack: { default: 'stored', check: oneOf('stored', 'replicated') },
  onRestart: { default: 'reset', check: oneOf('reset', 'trust') },
} satisfies Table<HistoryRuleOptions>;

/** @param canWait there is a Redis, and a connection of our own to it: what waits for a replica holds up its connection */
export function* historyFlaws(given: readonly HistoryRuleOptions[] | undefined, canWait: boolean): Generator<string> {
  if (!Array.isArray(given)) return;
  for (const [at, rule] of (given as HistoryRuleOptions[]).entries()) {
    if (!isObject(rule)) continue;
    const name = `rooms.history[${at}]`;
    const flaws = [...fieldFlaws(HISTORY_RULE, rule, namesIn(HISTORY_RULE, `${name}.`), `${name}.`)];
    yield* flaws;
    if (flaws.length > 0) continue;
    if (rule.match === undefined) yield `"${name}.match" is missing: say which rooms, e.g. 'chat:*'`;
    const { ttlMs, keyTtlMs, metaTtlMs, checkMs, ack } = fill(HISTORY_RULE, rule);
    if (metaTtlMs < ttlMs)
      yield (
        `"${name}.metaTtlMs" (${metaTtlMs}) is shorter than "ttlMs" (${ttlMs}): a room would be forgotten before its publications. ` +
        'Make it longer'
      );
    if (metaTtlMs < keyTtlMs)
      yield (
        `"${name}.metaTtlMs" (${metaTtlMs}) is shorter than "keyTtlMs" (${keyTtlMs}): keys would outlive their room. ` +
        'Make it longer'
      );
    if (metaTtlMs < CHECKS * checkMs)
      yield (
        `"${name}.metaTtlMs" (${metaTtlMs}) is shorter than three times "checkMs" (${checkMs}): a quiet room would be forgotten ` +
        'while it has members. Make it longer, or check more often'
      );
    if (ack === 'replicated' && !canWait)
      yield `"${name}.ack" is 'replicated', which needs "redis" and connections of this module's own: leave it out, or use forRoot({ redis })`;
  }
}

function ruleOf(given: HistoryRuleOptions): HistoryRule {
  const rule = fill(HISTORY_RULE, given);
  const { ttlMs, keyTtlMs, metaTtlMs, checkMs } = rule;
  return { ...rule, emptyTtlMs: Math.min(metaTtlMs, Math.max(ttlMs, keyTtlMs, CHECKS * checkMs)) };
}

interface ResolvedRule extends HistoryRule {
  text: string;
  matches: (room: string) => boolean;
}

/** How many names of rooms are remembered. */
const MAX_NAMES = 10_000;

/** Finds the rule of a room. */
export class HistoryRules {
  readonly #rules: readonly ResolvedRule[];
  /** Asked for each message, and matching takes long. */
  readonly #known = new Map<string, ResolvedRule | undefined>();

  constructor(given: readonly HistoryRuleOptions[]) {
    this.#rules = given.map((rule) => {
      const filled = ruleOf(rule);
      return { ...filled, text: textOfRule(filled), matches: matcherOf(rule.match) };
    });
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** Some room begins anew when Redis may have lost messages. */
  get isFenced(): boolean {
    return this.#rules.some(({ onRestart }) => onRestart === 'reset');
  }

  /** Some room waits for a replica. */
  get waitsForReplica(): boolean {
    return this.#rules.some(({ ack }) => ack === 'replicated');
  }

  /** What other processes must have for the room, too. */
  textOf(room: string): string {
    return this.#find(room)?.text ?? '';
  }

  of(room: string): HistoryRule | undefined {
    return this.#find(room);
  }

  #find(room: string): ResolvedRule | undefined {
    const known = this.#known.get(room);
    if (known !== undefined || this.#known.has(room)) return known;
    if (this.#known.size >= MAX_NAMES) this.#known.clear();
    const found = this.#rules.find(({ matches }) => matches(room));
    this.#known.set(room, found);
    return found;
  }
}

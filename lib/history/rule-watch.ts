import { InvalidOptionsError } from '../errors.js';
import type { HistoryRule } from './history-rule.js';

const NAMES = [
  'mode',
  'size',
  'ttlMs',
  'maxBytes',
  'recoverMax',
  'recoverMaxBytes',
  'keyTtlMs',
  'metaTtlMs',
  'checkMs',
  'ack',
  'onRestart',
] as const satisfies readonly (keyof HistoryRule)[];

/** Of what is remembered, the earliest goes first. */
const MAX_REMEMBERED = 1_000;

/** The text that each log holds. A process with another rule for the room finds the difference by it. */
export const textOfRule = (rule: HistoryRule): string => NAMES.map((name) => rule[name]).join(' ');

/**
 * Finds out whether the processes of an application have the same rules. Each writes its own into the log when it finds another.
 * One difference may be an old rule, from before a change. If a process finds the difference again, another process has the
 * other rule now.
 */
export class RuleWatch {
  readonly #replaced = new Set<string>();
  readonly #said = new Set<string>();

  constructor(private readonly failed: (error: Error, place: string) => void) {}

  /** The log of the room had another rule than ours, and has ours now. Each difference is reported once. */
  differs(room: string, own: string, other: string): void {
    if (!this.#replaced.has(room)) return remember(this.#replaced, room);
    if (this.#said.has(other)) return;
    remember(this.#said, other);
    const [ours, theirs] = [own.split(' '), other.split(' ')];
    const differences = NAMES.flatMap((name, at) =>
      ours[at] === theirs[at] ? [] : [`${name} is ${ours[at]} here and ${theirs[at]} there`],
    );
    this.failed(
      new InvalidOptionsError([
        `another process has another rule of rooms.history for the room "${room}": ${differences.join(', ')}. Give every node and ` +
          'emitter the same rules',
      ]),
      'rooms.history',
    );
  }
}

function remember(known: Set<string>, text: string): void {
  if (known.size >= MAX_REMEMBERED) known.delete(known.values().next().value as string);
  known.add(text);
}

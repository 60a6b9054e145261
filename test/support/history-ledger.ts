import type { RoomPosition } from '../../lib/index.js';
import {
  type HistoryReport,
  isPlace,
  isRefused,
  type JoinAnswer,
  type PublishAnswer,
  type Told,
} from './history-ledger-facts.js';
import { Places, Reader } from './history-story.js';

/**
 * Who published what into which room, what became of it, and what each client's handlers saw of it, in the order in which they
 * saw it. It knows nothing of the code that it judges.
 */
export class HistoryLedger {
  /** @param mode `last`: a value makes those before it worthless */
  constructor(private readonly mode: 'log' | 'last' = 'log') {}

  readonly #published = new Map<string, { room: string; answers: PublishAnswer[] }>();
  readonly #stories = new Map<string, Map<string, Told[]>>();
  readonly #tops = new Map<string, RoomPosition>();

  /** Before it is sent. A token is published once, in as many tries as it takes. */
  publishing(token: string, room: string): void {
    if (!this.#published.has(token)) this.#published.set(token, { room, answers: [] });
  }

  answered(token: string, answer: PublishAnswer): void {
    this.#published.get(token)?.answers.push(answer);
  }

  /** A client asks for a room by hand. What it sees until the answer is handled is of the answer: see `WebSocketClient`. */
  joining(client: string, room: string): (answer: JoinAnswer) => void {
    const told: Told = { kind: 'joined', answer: undefined };
    this.#tell(client, room, told);
    return (answer) => (told.answer = answer);
  }

  seen(client: string, room: string, token: string, { epoch, offset }: RoomPosition): void {
    this.#tell(client, room, { kind: 'seen', token, at: { epoch, offset } });
  }

  /** The client's connection was lost. */
  cut(client: string): void {
    for (const story of this.#stories.get(client)?.values() ?? []) story.push({ kind: 'cut' });
  }

  recovered(client: string, room: string, missed: number): void {
    this.#tell(client, room, { kind: 'recovered', missed });
  }

  reset(client: string, room: string, reason: string, position: RoomPosition | undefined): void {
    this.#tell(client, room, { kind: 'reset', reason, position: position && { ...position } });
  }

  /** It asked to leave, or its process ended for good: nothing is owed to it from now on. */
  left(client: string, room: string): void {
    this.#tell(client, room, { kind: 'left' });
  }

  /** Where the room ended. Whoever is in it must have come so far. */
  ended(room: string, { epoch, offset }: RoomPosition): void {
    this.#tops.set(room, { epoch, offset });
  }

  check(): HistoryReport {
    const answers = [...this.#published.values()].map(({ answers: all }) => all);
    const report: HistoryReport = {
      published: answers.length,
      stored: answers.filter((all) => all.some(isPlace)).length,
      unknown: answers.filter((all) => !all.some(isPlace) && !isRefused(all)).length,
      unavailable: answers.filter(isRefused).length,
      duplicates: answers.filter((all) => all.some((one) => isPlace(one) && one.isDuplicate)).length,
      seen: 0,
      recovered: 0,
      resets: 0,
      lost: [],
      twice: [],
      reordered: [],
      phantom: [],
      falselyRecovered: [],
      falselyReset: [],
      renamed: [],
    };
    const places = new Places(report);
    for (const [token, { room, answers: all }] of this.#published)
      for (const answer of all) if (isPlace(answer)) places.note(room, answer, token, 'told to its publisher');
    for (const [client, stories] of this.#stories)
      for (const [room, story] of stories)
        for (const told of story) if (told.kind === 'seen') places.note(room, told.at, told.token, `seen by ${client}`);
    for (const [client, stories] of this.#stories)
      for (const [room, story] of stories)
        new Reader({
          report,
          places,
          client,
          room,
          published: this.#published,
          top: this.#tops.get(room),
          mode: this.mode,
        }).read(story);
    for (const [room, top] of this.#tops)
      for (const missing of places.beyond(room, top))
        report.lost.push(`${missing} was stored, and the log ends before`);
    return report;
  }

  #tell(client: string, room: string, told: Told): void {
    const stories = this.#stories.get(client) ?? new Map<string, Told[]>();
    this.#stories.set(client, stories);
    const story = stories.get(room) ?? [];
    stories.set(room, story);
    story.push(told);
  }
}

/** A report without its figures: an empty object when all went well. */
export function historyComplaints(report: HistoryReport): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(report).filter(
      (entry): entry is [string, string[]] => Array.isArray(entry[1]) && entry[1].length > 0,
    ),
  );
}

/** Its figures, in one line. */
export function historyFigures(report: HistoryReport): string {
  const figures = Object.entries(report).filter(([, value]) => typeof value === 'number');
  return figures.map(([name, value]) => `${name} ${value}`).join(', ');
}

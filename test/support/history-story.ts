import type { RoomPosition } from '../../lib/index.js';
import {
  type HistoryReport,
  isRefused,
  type JoinAnswer,
  type PublishAnswer,
  type Told,
} from './history-ledger-facts.js';

/** A new epoch began. */
const OF_EPOCH: ReadonlySet<string> = new Set(['other-epoch', 'restart', 'cleared']);
/** The epoch goes on. */
const WITHIN_EPOCH: ReadonlySet<string> = new Set(['expired', 'too-far-behind', 'ahead', 'hole']);

const textOf = ({ epoch, offset }: RoomPosition): string => `${epoch.slice(0, 8)}/${offset}`;

/** Which publication lies where, as far as anybody was told. */
export class Places {
  readonly #tokens = new Map<string, string>();
  readonly #offsets = new Map<string, number>();

  constructor(private readonly report: HistoryReport) {}

  note(room: string, { epoch, offset }: RoomPosition, token: string, by: string): void {
    const place = `${room} ${epoch} ${offset}`;
    const known = this.#tokens.get(place);
    if (known === undefined) this.#tokens.set(place, token);
    else if (known !== token)
      this.report.renamed.push(`${room} ${textOf({ epoch, offset })} is ${known}, and ${token} (${by})`);
    const lies = this.#offsets.get(`${room} ${epoch} ${token}`);
    if (lies === undefined) this.#offsets.set(`${room} ${epoch} ${token}`, offset);
    else if (lies !== offset)
      this.report.twice.push(`${token} lies at ${textOf({ epoch, offset: lies })} and at ${offset} (${by})`);
  }

  has(room: string, { epoch, offset }: RoomPosition): boolean {
    return this.#tokens.has(`${room} ${epoch} ${offset}`);
  }

  *beyond(room: string, { epoch, offset: top }: RoomPosition): Generator<string> {
    const head = `${room} ${epoch} `;
    for (const [place, token] of this.#tokens)
      if (place.startsWith(head) && Number(place.slice(head.length)) > top) yield `${token} at ${place}`;
  }
}

interface Case {
  report: HistoryReport;
  places: Places;
  client: string;
  room: string;
  published: ReadonlyMap<string, { room: string; answers: PublishAnswer[] }>;
  top: RoomPosition | undefined;
  mode: 'log' | 'last';
}

/** Follows one client through one room. */
export class Reader {
  /** Undefined while it isn't in the room. */
  #position: RoomPosition | undefined;
  #atCut: RoomPosition | undefined;
  /** A join with a place was answered; the client may say so by an event, too. */
  #isOfJoin = false;
  /** Told `recovered: true`, and saw nothing since. */
  #isJustRecovered = false;
  readonly #seen = new Set<string>();
  readonly #skipped = new Map<string, boolean>();

  constructor(private readonly parts: Case) {}

  read(story: Told[]): void {
    const { report } = this.parts;
    for (const [index, told] of story.entries()) {
      if (told.kind === 'seen') this.#see(told.token, told.at);
      else if (told.kind === 'cut') this.#cut();
      else if (told.kind === 'recovered') this.#recover(told.missed);
      else if (told.kind === 'reset') this.#reset(told.reason, told.position);
      else if (told.kind === 'left') this.#leave();
      else if (told.answer) this.#join(told.answer, story.slice(index + 1).find(isSight)?.at);
    }
    const { top } = this.parts;
    if (top && this.#position && textOf(this.#position) !== textOf(top))
      report.lost.push(this.#say(`ends at ${textOf(this.#position)}, the room at ${textOf(top)}`));
    for (const [place, wasRecovered] of this.#skipped)
      if (!this.#seen.has(place))
        (wasRecovered ? report.falselyRecovered : report.lost).push(this.#say(`never saw ${place}`));
  }

  #join({ epoch, offset, since, recovered, reason, tail }: JoinAnswer, next: RoomPosition | undefined): void {
    this.#isOfJoin = since !== undefined;
    if (since && recovered === true) {
      this.#position = { ...since };
      this.#isJustRecovered = true;
      if (since.epoch !== epoch) this.parts.report.falselyRecovered.push(this.#say(`from ${since.epoch} to ${epoch}`));
      return;
    }
    if (since) this.#refuse(reason ?? 'none', since, { epoch, offset });
    // What was published while the newest were read comes with them.
    const wasGiven = tail && next?.epoch === epoch && next.offset <= offset;
    this.#position = { epoch, offset: wasGiven ? next.offset - 1 : offset };
    this.#isJustRecovered = false;
  }

  #recover(missed: number): void {
    if (this.#isOfJoin) return void (this.#isOfJoin = false);
    this.parts.report.recovered++;
    if (!this.#position || !this.#atCut)
      return void this.parts.report.falselyRecovered.push(this.#say('recovered, and had lost nothing'));
    this.#isJustRecovered = textOf(this.#atCut) === textOf(this.#position);
    const { report, places, room, top } = this.parts;
    const { epoch, offset } = this.#atCut;
    const last = { epoch, offset: offset + missed };
    if (missed > 0 && top?.epoch === epoch && !places.has(room, last))
      report.falselyRecovered.push(this.#say(`told of ${missed} missed, and there is no ${textOf(last)}`));
  }

  #reset(reason: string, position: RoomPosition | undefined): void {
    const isOfJoin = this.#isOfJoin && position && this.#position && textOf(position) === textOf(this.#position);
    this.#isOfJoin = false;
    if (isOfJoin) return;
    this.parts.report.resets++;
    if (!this.#position) return void this.parts.report.falselyReset.push(this.#say(`reset (${reason}), and not in it`));
    if (!position) return void this.parts.report.falselyReset.push(this.#say(`reset (${reason}) without a place`));
    this.#refuse(reason, this.#position, position);
    this.#position = { ...position };
    this.#isJustRecovered = false;
  }

  #refuse(reason: string, from: RoomPosition, to: RoomPosition): void {
    const { report, places, room } = this.parts;
    const text = this.#say(`reset (${reason}) from ${textOf(from)} to ${textOf(to)}`);
    const isOther = from.epoch !== to.epoch;
    if (!OF_EPOCH.has(reason) && !WITHIN_EPOCH.has(reason)) report.falselyReset.push(text);
    else if (OF_EPOCH.has(reason) && !isOther) report.falselyReset.push(`${text}: it knew`);
    else if (reason === 'ahead' && !isOther && (from.offset === 0 || places.has(room, from)))
      report.falselyReset.push(`${text}: there is such a place`);
    else if (!isOther && from.offset > to.offset && reason !== 'ahead') report.falselyReset.push(`${text}: backwards`);
  }

  #cut(): void {
    this.#atCut = this.#position;
    this.#isOfJoin = false;
  }

  #leave(): void {
    this.#position = undefined;
    this.#atCut = undefined;
  }

  #see(token: string, at: RoomPosition): void {
    const { report, published, room } = this.parts;
    report.seen++;
    const known = published.get(token);
    const text = this.#say(`${token} at ${textOf(at)}`);
    if (!known || known.room !== room || isRefused(known.answers)) report.phantom.push(text);
    const position = this.#position;
    if (!position) return void report.phantom.push(`${text}: not a member`);
    const wasSeen = this.#seen.has(textOf(at));
    this.#seen.add(textOf(at));
    if (at.epoch !== position.epoch) {
      if (wasSeen) report.twice.push(text);
      else
        (this.#isJustRecovered ? report.falselyRecovered : report.lost).push(
          `${text}: it was at ${textOf(position)}, and nobody told it of another epoch`,
        );
    } else if (at.offset <= position.offset) {
      (wasSeen ? report.twice : report.reordered).push(text);
      return;
    }
    if (at.epoch === position.epoch && this.parts.mode === 'log')
      for (let offset = position.offset + 1; offset < at.offset; offset++)
        this.#skipped.set(textOf({ ...at, offset }), this.#isJustRecovered);
    this.#position = { ...at };
    this.#isJustRecovered = false;
  }

  #say(text: string): string {
    return `${this.parts.client} in ${this.parts.room}: ${text}`;
  }
}

const isSight = (told: Told): told is Extract<Told, { kind: 'seen' }> => told.kind === 'seen';

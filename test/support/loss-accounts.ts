import type { Publication, Reception } from './ledger-facts.js';

/** How many messages a node counted as lost or too late on their way to it, and between which moments it did so. */
export interface Count extends Span {
  count: number;
}

export interface Span {
  from: number;
  to: number;
}

/** What one node said of itself. */
export interface NodeAccount {
  /** Its name as a publisher. */
  publisher: string;
  /** Everybody who was ever connected to it. */
  clients: ReadonlySet<string>;
  counts: readonly Count[];
  /** When it said that it isn't ready. */
  away: readonly Span[];
}

/** What the accounts are compared with. */
export interface Books {
  publications: readonly Publication[];
  receptions: readonly Reception[];
  /** Who was in which room, from the answer to its join to its wish to leave. */
  memberships: readonly { client: string; room: string; joinedAt: number; leavingAt: number }[];
  /** The clients that had to get it. */
  membersOf(publication: Publication): Set<string>;
  nameOf(of: Publication | Reception): string;
}

/** Messages of one publisher in one room, one after the other, that no client of a node got. */
interface Run {
  lost: Publication[];
  /** While the node had members in the room. */
  listening: Span;
  /** The node had none of the publisher before in that time, so it can't know that these are missing. */
  isFirst: boolean;
  /** The node had the next one. */
  until: number;
}

/** The clock of a process counts whole milliseconds. */
const CLOCK_MS = 1;

/**
 * Finds the copies that are lost though no server said so. A loss is excused where its publisher was told that it wasn't published,
 * or where the node that should have got it counted it: between its publication and the next message of that publisher and room that
 * came there. A count excuses as many messages as it says, and no others. What is lost first or last while a node has members in a
 * room can't be counted: the node must have said then that it isn't ready.
 * @returns the message and the client of each
 */
export function uncounted(books: Books, nodes: readonly NodeAccount[]): [Publication, client: string][] {
  const streams = new Map<string, Publication[]>();
  for (const one of books.publications) {
    const name = `${one.publisher} ${one.room}`;
    const stream = streams.get(name);
    if (stream) stream.push(one);
    else streams.set(name, [one]);
  }
  return nodes.flatMap((node) => new Receiver(books, node).uncounted([...streams.values()]));
}

/** The losses of one node. */
class Receiver {
  readonly #seen = new Map<string, { at: number; clients: Set<string> }>();
  readonly #listening = new Map<string, Span[]>();

  constructor(
    private readonly books: Books,
    private readonly node: NodeAccount,
  ) {
    for (const reception of books.receptions) {
      if (!node.clients.has(reception.client)) continue;
      const known = this.#seen.get(books.nameOf(reception));
      if (known) known.clients.add(reception.client);
      else this.#seen.set(books.nameOf(reception), { at: reception.at, clients: new Set([reception.client]) });
    }
    const here = books.memberships.filter(({ client }) => node.clients.has(client));
    for (const { room, joinedAt: from, leavingAt: to } of here.toSorted(
      (one, other) => one.joinedAt - other.joinedAt,
    )) {
      const spans = this.#listening.get(room) ?? [];
      this.#listening.set(room, spans);
      const last = spans.at(-1);
      if (last && from <= last.to) last.to = Math.max(last.to, to);
      else spans.push({ from, to });
    }
  }

  uncounted(streams: readonly (readonly Publication[])[]): [Publication, string][] {
    const lost: [Publication, string][] = [];
    const runs: Run[] = [];
    for (const stream of streams) {
      const isOwn = stream[0]?.publisher === this.node.publisher;
      let open: Run[] = [];
      let heardAt = -Infinity;
      for (const one of stream) {
        const came = this.#seen.get(this.books.nameOf(one));
        const missed = this.#owed(one).filter((client) => !came?.clients.has(client));
        // Without the bus, or beyond it: nothing excuses that.
        if (came || isOwn) for (const client of missed) lost.push([one, client]);
        else if (missed.length > 0 && !one.isRefused) this.#add(one, open, runs, heardAt);
        if (!came) continue;
        for (const run of open) run.until = came.at;
        open = [];
        heardAt = came.at;
      }
    }
    for (const one of this.#notCounted(runs)) for (const client of this.#owed(one)) lost.push([one, client]);
    return lost;
  }

  #owed(one: Publication): string[] {
    return [...this.books.membersOf(one)].filter((client) => this.node.clients.has(client));
  }

  #add(one: Publication, open: Run[], runs: Run[], heardAt: number): void {
    const listening = this.#listening.get(one.room)?.find(({ from, to }) => from < one.at && one.at < to);
    if (!listening) throw new Error(`Nobody was in ${one.room} at ${one.at}.`);
    const last = open.at(-1);
    if (last?.listening === listening) return void last.lost.push(one);
    const run = { lost: [one], listening, isFirst: heardAt < listening.from, until: Infinity };
    open.push(run);
    runs.push(run);
  }

  /** A count goes to the losses that must be counted soonest. */
  #notCounted(runs: readonly Run[]): Publication[] {
    const counts = this.node.counts.map((one) => ({ ...one })).toSorted((one, other) => one.to - other.to);
    return runs
      .filter((run) => !this.#cannotCount(run))
      .toSorted((one, other) => one.until - other.until)
      .flatMap((run) => {
        let missing = run.lost.length;
        for (const one of counts) {
          if (missing === 0 || !meets(run, one)) continue;
          const taken = Math.min(missing, one.count);
          one.count -= taken;
          missing -= taken;
        }
        return missing === 0 ? [] : run.lost.slice(-missing);
      });
  }

  #cannotCount(run: Run): boolean {
    const isEdge = run.isFirst || run.until > run.listening.to || run.until === Infinity;
    return isEdge && this.node.away.some((span) => meets(run, span));
  }
}

const meets = ({ lost, until }: Run, { from, to }: Span): boolean =>
  from <= until + CLOCK_MS && to >= (lost[0] as Publication).at - CLOCK_MS;

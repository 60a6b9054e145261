import type { Publication, Reception } from './ledger-facts.js';
import { type NodeAccount, uncounted } from './loss-accounts.js';

/**
 * When a client was in a room. Between asking and the answer nobody can say: it may get what is sent then, and needn't.
 */
interface Membership {
  client: string;
  room: string;
  askedAt: number;
  joinedAt: number;
  leavingAt: number;
  leftAt: number;
}

export interface Report {
  /** Of a message: every copy that a member had to get. */
  expected: number;
  received: number;
  /** Expected, sent while all was well, and never received. */
  lost: string[];
  /** Expected and never received, but sent while a fault made that possible, or counted by a server. */
  excused: number;
  duplicated: string[];
  /** Received after a later one of the same publisher and room. */
  reordered: string[];
  /** Never published, or received by a client that wasn't a member. */
  phantom: string[];
  /** Received long after it was sent. */
  stale: string[];
}

export interface CheckOptions {
  /** A copy older than this, in ms, is stale. */
  staleAfterMs?: number;
  /** What the nodes said: what they counted is excused, and no other loss. Left out: what was lost in the time of a fault is. */
  nodes?: readonly NodeAccount[];
}

/** The library's own limit is 5 s, measured on its way in; a loaded machine takes its time from there to the client. */
const STALE_AFTER_MS = 6_000;

/** What was sent and what arrived, written down by those who did it. Nothing in it is ever changed or removed. */
export class Ledger {
  readonly publications: Publication[] = [];
  readonly receptions: Reception[] = [];
  readonly #memberships: Membership[] = [];
  readonly #faults: { from: number; to: number }[] = [];

  published(...publications: Publication[]): void {
    for (const publication of publications) this.publications.push(publication);
  }

  received(reception: Reception): void {
    this.receptions.push(reception);
  }

  /** The client was told that it is in the room; it had asked at `askedAt`. */
  joined(client: string, room: string, askedAt: number, joinedAt = Date.now()): void {
    this.#memberships.push({ client, room, askedAt, joinedAt, leavingAt: Infinity, leftAt: Infinity });
  }

  /** The client asked to leave at `leavingAt` (or its socket broke), and it was so at `leftAt`. */
  left(client: string, room: string, leavingAt: number, leftAt = Date.now()): void {
    const membership = this.#memberships.findLast((one) => one.client === client && one.room === room);
    if (!membership) throw new Error(`${client} was never in ${room}.`);
    Object.assign(membership, { leavingAt, leftAt });
  }

  /** What was sent in this time may be lost; nothing else is excused by it. */
  fault(from: number, to: number): void {
    this.#faults.push({ from, to });
  }

  check({ staleAfterMs = STALE_AFTER_MS, nodes }: CheckOptions = {}): Report {
    const sent = new Map(this.publications.map((publication) => [keyOf(publication), publication]));
    const report: Report = {
      expected: 0,
      received: this.receptions.length,
      lost: [],
      excused: 0,
      duplicated: [],
      reordered: [],
      phantom: [],
      stale: [],
    };
    const copies = new Map<string, number>();
    const last = new Map<string, number>();
    for (const reception of this.receptions) {
      const text = `${keyOf(reception)} at ${reception.client}`;
      const publication = sent.get(keyOf(reception));
      if (!publication || !this.#mayHaveReached(reception, publication)) report.phantom.push(text);
      if (publication && reception.at - publication.at > staleAfterMs) report.stale.push(text);
      const count = (copies.get(text) ?? 0) + 1;
      copies.set(text, count);
      if (count > 1) report.duplicated.push(text);
      const order = `${reception.publisher} ${reception.room} at ${reception.client}`;
      if (count === 1 && reception.n < (last.get(order) ?? 0)) report.reordered.push(text);
      last.set(order, Math.max(last.get(order) ?? 0, reception.n));
    }
    for (const publication of this.publications) {
      for (const client of this.#mustReach(publication)) {
        report.expected++;
        const text = `${keyOf(publication)} at ${client}`;
        if (copies.has(text)) continue;
        if (nodes || this.#isExcused(publication)) report.excused++;
        else report.lost.push(text);
      }
    }
    if (nodes) this.#account(report, nodes);
    return report;
  }

  #account(report: Report, nodes: readonly NodeAccount[]): void {
    const books = {
      publications: this.publications,
      receptions: this.receptions,
      memberships: this.#memberships,
      membersOf: (publication: Publication) => this.#mustReach(publication),
      nameOf: keyOf,
    };
    for (const [publication, client] of uncounted(books, nodes)) report.lost.push(`${keyOf(publication)} at ${client}`);
    report.excused -= report.lost.length;
  }

  /** Of a join and a message in the same millisecond nobody can say which was first. */
  #mustReach({ room, at }: Publication): Set<string> {
    const members = this.#memberships.filter(
      (one) => one.room === room && one.joinedAt < at && at < one.leavingAt - ON_ITS_WAY_MS,
    );
    return new Set(members.map(({ client }) => client));
  }

  #mayHaveReached(reception: Reception, publication: Publication): boolean {
    return this.#memberships.some(
      ({ client, room, askedAt, leftAt }) =>
        client === reception.client && room === reception.room && askedAt <= reception.at && publication.at <= leftAt,
    );
  }

  #isExcused({ at }: Publication): boolean {
    return this.#faults.some(({ from, to }) => from <= at && at <= to);
  }
}

/** A member that leaves within this time of a message needn't get it: it was on its way. */
const ON_ITS_WAY_MS = 1_000;

const keyOf = ({ publisher, room, n }: { publisher: string; room: string; n: number }): string =>
  `${publisher} ${room} #${n}`;

/** A report without its figures: an empty object when all went well. */
export function complaints({ lost, duplicated, reordered, phantom, stale }: Report): Record<string, string[]> {
  const all = Object.entries({ lost, duplicated, reordered, phantom, stale });
  return Object.fromEntries(all.filter(([, found]) => found.length > 0));
}

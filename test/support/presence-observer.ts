import type { Frame, Peer } from './peer.js';

/** What a member knows, from frames alone. */
export class Observer {
  /** The data of each user. */
  #users: Map<string, unknown> | undefined;
  total = 0;
  readonly flaws: string[] = [];

  constructor(
    readonly name: string,
    readonly userId: string,
  ) {}

  joined({ users, total }: Frame): void {
    this.total = total;
    this.#users = users && dataOf(users);
  }

  heard({ users, joined, updated = [], left = [], total }: Frame): void {
    this.total = total;
    if (users) this.#users = dataOf(users);
    else if (!joined) this.#users = undefined;
    else if (!this.#users) this.flaws.push(`${this.name} was told of ${JSON.stringify(joined)} in a crowd`);
    for (const { userId, data } of joined ?? []) {
      if (this.#users?.has(userId)) this.flaws.push(`${this.name} was told twice that ${userId} joined`);
      this.#users?.set(userId, data);
    }
    for (const { userId, data } of updated)
      if (this.#users?.has(userId)) this.#users.set(userId, data);
      else this.flaws.push(`${this.name} was told of an update of ${userId}, who isn't there`);
    for (const userId of left)
      if (!this.#users?.delete(userId)) this.flaws.push(`${this.name} was told that ${userId} left, who wasn't there`);
  }

  get knows(): string[] | undefined {
    // Nobody is told of itself.
    return this.#users && [...new Set([...this.#users.keys(), this.userId])].toSorted();
  }

  /** What users say of themselves, as JSON. */
  get hasHeard(): string[] {
    return Array.from(this.#users ?? [], ([userId, data]) => `${userId}: ${JSON.stringify(data)}`).toSorted();
  }
}

const dataOf = (users: Frame[]): Map<string, unknown> => new Map(users.map(({ userId, data }) => [userId, data]));

/** Who came and left, as a peer was told, in order: `+ada`, `-ada`. */
export const told = (peer: Peer): string[] =>
  peer.received
    .filter(({ type, action }) => type === 'system' && action === 'presence')
    .flatMap(({ data: { joined = [], left = [] } }) => [
      ...joined.map(({ userId }: Frame) => `+${userId}`),
      ...left.map((userId: string) => `-${userId}`),
    ]);

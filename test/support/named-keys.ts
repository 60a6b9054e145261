import type { Asker, Claim, Ending, KeyRule, Mine, ReplyStore } from '../../lib/idempotency/reply-store.js';

/** A store whose claims a test ends by their key and token. */
export class NamedKeys<S extends ReplyStore> {
  readonly #mine = new Map<string, Mine>();

  constructor(readonly store: S) {}

  claim(key: string, token: string, rule: KeyRule, owner: string, sentMsAgo?: number): ReturnType<S['claim']> {
    const asker: Asker = { owner, route: 'test/keys', key, token };
    const note = (claim: Claim): Claim => {
      if (claim.state !== 'mine') return claim;
      this.#mine.set(`${key} ${token}`, claim);
      return { state: 'mine' };
    };
    const claim = this.store.claim(asker, rule, sentMsAgo);
    return (claim instanceof Promise ? claim.then(note) : note(claim)) as ReturnType<S['claim']>;
  }

  end(key: string, token: string, ending: Ending): ReturnType<S['end']> {
    const mine = this.#mine.get(`${key} ${token}`);
    if (!mine) throw new Error(`"${token}" never had the key "${key}".`);
    return this.store.end(mine, ending) as ReturnType<S['end']>;
  }
}

/** Whose keys are known. */
export interface Owner {
  readonly name: string;
  /** How many keys are known of it. */
  keys: number;
  /** None of its keys comes behind this one in order. Empty as long as it has none. */
  greatest: string;
  /** Its number among those that have keys. 0 as long as it has none. */
  id: number;
}

/** The owners of keys. One without keys is forgotten. */
export class KeyOwners {
  /** Of their names, and of their greatest keys. */
  chars = 0;
  readonly #byName = new Map<string, Owner>();
  readonly #byId: (Owner | undefined)[] = [undefined];
  readonly #freeIds: number[] = [];
  #last: Owner | undefined;

  of(name: string): Owner {
    if (this.#last?.name === name) return this.#last; // messages of one sender often come together
    return (this.#last = this.#byName.get(name) ?? { name, keys: 0, greatest: '', id: 0 });
  }

  at(id: number): Owner | undefined {
    return this.#byId[id];
  }

  /** It has one more key. @param isGreatest it comes behind all others */
  plus(owner: Owner, key: string, isGreatest: boolean): void {
    if (isGreatest || owner.keys === 0) {
      this.chars += key.length - owner.greatest.length;
      owner.greatest = key;
    }
    if (owner.keys++ > 0) return;
    owner.id = this.#freeIds.pop() ?? this.#byId.length;
    this.#byId[owner.id] = owner;
    this.#byName.set(owner.name, owner);
    this.chars += owner.name.length;
  }

  /** It has one less. */
  minus(owner: Owner): void {
    if (--owner.keys > 0) return;
    this.#byId[owner.id] = undefined;
    this.#freeIds.push(owner.id);
    this.#byName.delete(owner.name);
    this.chars -= owner.name.length + owner.greatest.length;
    owner.id = 0;
    owner.greatest = '';
  }
}

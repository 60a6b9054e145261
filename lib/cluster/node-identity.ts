import type { Ids } from './ids.js';

/** The ids of this node. It gets a new one when other nodes took it for dead. */
export class NodeIdentity {
  #id: string;
  #isReturning = false;
  readonly #all: Set<string>;

  constructor(private readonly ids: Ids) {
    this.#id = ids.nodeId();
    this.#all = new Set([this.#id]);
  }

  get id(): string {
    return this.#id;
  }

  /** Others took this node for dead. They ignore what it says before it is registered again: then it announces all its clients. */
  get isReturning(): boolean {
    return this.#isReturning;
  }

  /** True for this node's id, and for those it had before. */
  isOwn(nodeId: string): boolean {
    return this.#all.has(nodeId);
  }

  /** Other nodes took this one for dead. */
  takeNewId(): void {
    this.#id = this.ids.nodeId();
    this.#all.add(this.#id);
    this.#isReturning = true;
  }

  /** The node is registered with its present id. */
  returned(): void {
    this.#isReturning = false;
  }
}

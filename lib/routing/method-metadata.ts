/**
 * Replaces Nest's own cache of method metadata. Nest 11 keys it by the names of class and method, so two classes of the same
 * name would share their parameters. A method that is called in two ways needs two caches.
 */
export class MethodMetadata {
  readonly #ofClass = new WeakMap<object, Map<string, unknown>>();

  get(instance: object, key: string): unknown {
    return this.#ofClass.get(instance.constructor)?.get(key);
  }

  set(instance: object, key: string, metadata: unknown): void {
    const known = this.#ofClass.get(instance.constructor) ?? new Map<string, unknown>();
    this.#ofClass.set(instance.constructor, known.set(key, metadata));
  }
}

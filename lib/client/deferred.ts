/** A promise that others settle. Nobody has to wait for it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  let settlers!: Omit<Deferred<T>, 'promise'>;
  const promise = new Promise<T>((resolve, reject) => (settlers = { resolve, reject }));
  promise.catch(() => undefined);
  return { promise, ...settlers };
}

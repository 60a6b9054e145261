/** A promise that others settle. Nobody has to wait for it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  const made = {} as Deferred<T>;
  const promise = new Promise<T>((resolve, reject) => Object.assign(made, { resolve, reject }));
  promise.catch(() => undefined);
  return Object.assign(made, { promise });
}

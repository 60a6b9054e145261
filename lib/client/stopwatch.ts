/**
 * Measures a time, the sleep of the machine included. `performance.now()` stands still during that sleep, except on Windows.
 * If the clock is set forward, the stopwatch shows too much; it never shows too little.
 */
export class Stopwatch {
  readonly #since = performance.now();
  readonly #date = Date.now();

  get ms(): number {
    return Math.max(performance.now() - this.#since, Date.now() - this.#date);
  }
}

/** What the value of an option of the server or of the client must be. */
export interface Check {
  readonly holds: (value: unknown) => boolean;
  /** The end of a sentence that begins with `must be` or `is not`. */
  readonly must: string;
  readonly unit?: string;
}

export const FLAG: Check = { holds: (value) => typeof value === 'boolean', must: 'true or false' };

/** The same, or false. */
export const orFalse = (check: Check): Check => ({
  ...check,
  holds: (value) => value === false || check.holds(value),
  must: `false or ${check.must}`,
});

/** The longest time of a timer: 2^31 - 1 ms. A longer one would fire at once. */
export const MAX_TIMER_MS = 2_147_483_647;

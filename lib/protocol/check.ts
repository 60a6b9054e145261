/** What the value of an option must be, of the server's or of the client's. */
export interface Check {
  readonly holds: (value: unknown) => boolean;
  /** Goes behind `must be`, and behind `is not`. */
  readonly must: string;
  readonly unit?: string;
}

export const FLAG: Check = { holds: (value) => typeof value === 'boolean', must: 'true or false' };

/** The longest time of a timer: 2^31 - 1 ms. A longer one would fire at once. */
export const MAX_TIMER_MS = 2_147_483_647;

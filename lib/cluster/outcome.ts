import { errorOf } from '../protocol/thrown.js';

/** The result of a command. */
export interface Outcome {
  channels: readonly string[];
  error: Error | undefined;
}

/** Never rejects. */
export function outcomeOf(channels: readonly string[], command: Promise<unknown>): Promise<Outcome> {
  return command.then(
    () => ({ channels, error: undefined }),
    (error: unknown) => ({ channels, error: errorOf(error) }),
  );
}

/** The answer to an earlier message with the same key. The handler isn't called again. */
export class KeptReply {
  private constructor(
    /** The response as JSON; undefined for a refusal. */
    readonly json: string | undefined,
    readonly refusal: Error | undefined,
  ) {}

  static response(json: string): KeptReply {
    return new KeptReply(json, undefined);
  }

  static refusal(error: Error): KeptReply {
    return new KeptReply(undefined, error);
  }
}

/** One try of a message with a key, on a route that handles each key once. */
export interface RouteTry {
  /** The handler was called for this try. */
  readonly isMine: boolean;
  /**
   * Call it after the guards, and before interceptors, pipes and the handler. Waits for an earlier try that is still running.
   * @returns undefined if the handler must be called; otherwise the answer
   */
  claim(): KeptReply | undefined | Promise<KeptReply | undefined>;
}

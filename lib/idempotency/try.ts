import type { Clock } from '../clock.js';
import { ConnectionError, PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { writeJson } from '../protocol/json-form.js';
import { describeError } from '../routing/describe-error.js';
import { KeptReply, type RouteTry } from '../routing/kept-reply.js';
import type { RouteCall } from '../routing/route-call.js';
import { type Ending, type KeyRule, MAX_REPLY_BYTES, type ReplyStore } from './reply-store.js';

/** A handler of this process that runs for a key. */
export interface Running {
  readonly until: number;
  readonly ended: Promise<void>;
  /** Called at its end. */
  readonly waiting: Set<() => void>;
}

export interface TryParts {
  store: ReplyStore;
  clock: Pick<Clock, 'now' | 'after'>;
  running: Map<string, Running>;
}

/** Handlers that run at once. Some may never end. */
const MAX_RUNNING = 10_000;
/** How soon another node is asked again for a reply, in ms. Each time twice as late. */
const ASK_AGAIN_MS = 20;
const ASK_AT_LEAST_MS = 500;
/** The handler refused before it did anything, so a later try may be handled. */
const NEVER_KEPT: readonly string[] = [ErrorCode.Unavailable, ErrorCode.RateLimited, ErrorCode.Timeout];
/** The first character says what is kept. */
const RESPONSE = 'r';
const REFUSAL = 'e';
const TOO_LONG = 'l';

/** One try of a message with a key. */
export class Try implements RouteTry {
  isMine = false;
  #end: (() => void) | undefined;
  #running: Running | undefined;

  constructor(
    private readonly parts: TryParts,
    private readonly call: RouteCall,
    /** The key, with its owner and its route. */
    private readonly name: string,
    private readonly token: string,
    private readonly rule: KeyRule,
  ) {}

  async claim(): Promise<KeptReply | undefined> {
    const { store, running } = this.parts;
    let waitMs = ASK_AGAIN_MS;
    for (;;) {
      const here = this.#runningHere();
      if (here) {
        await this.#until((done) => {
          here.waiting.add(done);
          return () => void here.waiting.delete(done);
        });
      } else if (running.size >= MAX_RUNNING && !this.#makesRoom()) {
        return KeptReply.refusal(
          new PeerError(ErrorCode.Unavailable, 'Too many messages with a key are being handled.'),
        );
      } else {
        try {
          const claim = await store.claim(this.name, this.token, this.rule);
          if (claim.state === 'mine') return this.#begin();
          if (claim.state === 'kept') return read(claim.reply);
          if (claim.state === 'doubt') return KeptReply.refusal(inDoubt());
          const ms = Math.min(waitMs, claim.forMs + 1);
          await this.#until((done) => this.parts.clock.after(ms, done));
          waitMs = Math.min(2 * waitMs, ASK_AT_LEAST_MS);
        } catch (error) {
          // Not thrown: filters are for what the handler throws.
          return KeptReply.refusal(error as Error);
        }
      }
      if (this.call.settled) return KeptReply.refusal(new ConnectionError('Nobody waits for the answer any more.'));
    }
  }

  /** @returns the result; undefined if it was answered already */
  succeeded(result: unknown): unknown {
    if (!this.isMine) return result;
    let json: string;
    try {
      json = writeJson(result ?? null, 'response');
    } catch (error) {
      this.#finish({ state: 'doubt' });
      throw error;
    }
    this.#finish({ state: 'kept', reply: RESPONSE + json });
    if (result === undefined && this.call.id === undefined) return undefined;
    this.call.peer.answerJson(this.call, json);
    return undefined;
  }

  failed(thrown: unknown): void {
    if (!this.isMine) return;
    const { isMeantForPeer, code, error, details } = describeError(this.call.reasonOf(thrown));
    if (!isMeantForPeer) return this.#finish({ state: 'doubt' });
    if (NEVER_KEPT.includes(code)) return this.#finish({ state: 'free' });
    try {
      this.#finish({ state: 'kept', reply: REFUSAL + writeJson({ code, error, details }) });
    } catch {
      this.#finish({ state: 'kept', reply: REFUSAL + writeJson({ code, error }) });
    }
  }

  #begin(): KeptReply | undefined {
    if (this.call.settled) {
      void this.parts.store.end(this.name, this.token, { state: 'free' }, this.rule);
      return KeptReply.refusal(new ConnectionError('The request ended before it was handled.'));
    }
    this.isMine = true;
    const waiting = new Set<() => void>();
    const ended = new Promise<void>((resolve) => (this.#end = resolve));
    this.#running = { until: this.parts.clock.now() + this.rule.windowMs, ended, waiting };
    this.parts.running.set(this.name, this.#running);
    return undefined;
  }

  #finish(ending: Ending): void {
    const { store, running } = this.parts;
    const isLong = ending.state === 'kept' && Buffer.byteLength(ending.reply) > MAX_REPLY_BYTES;
    // Nobody has to wait for it: until it is written, later tries wait.
    void store.end(this.name, this.token, isLong ? { state: 'kept', reply: TOO_LONG } : ending, this.rule);
    if (running.get(this.name) === this.#running) running.delete(this.name); // after its window another may have begun
    this.#end?.();
    for (const wake of this.#running?.waiting ?? []) wake();
  }

  #runningHere(): Running | undefined {
    const here = this.parts.running.get(this.name);
    return here && here.until > this.parts.clock.now() ? here : undefined;
  }

  /** Handlers that never end are forgotten with their keys. */
  #makesRoom(): boolean {
    const { running, clock } = this.parts;
    for (const [name, { until }] of running) if (until <= clock.now()) running.delete(name);
    return running.size < MAX_RUNNING;
  }

  /** Ends early when nobody waits for the answer any more. */
  async #until(start: (done: () => void) => () => void): Promise<void> {
    const { signal } = this.call;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stop();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const stop = start(done);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }
}

function read(kept: string): KeptReply {
  const json = kept.slice(1);
  if (kept.startsWith(RESPONSE)) return KeptReply.response(json);
  if (kept.startsWith(TOO_LONG))
    return KeptReply.refusal(
      new PeerError(ErrorCode.InDoubt, 'This was handled before. Its reply was too long to be kept.', {
        isHandled: true,
      }),
    );
  const { code, error, details } = JSON.parse(json) as { code: string; error: string; details?: unknown };
  return KeptReply.refusal(new PeerError(code, error, details));
}

const inDoubt = (): PeerError =>
  new PeerError(
    ErrorCode.InDoubt,
    'This was begun before, and nobody knows whether it was finished. Look whether it was done before you ask again with a new key.',
    { isHandled: false },
  );

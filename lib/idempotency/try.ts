import type { Clock } from '../clock.js';
import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { writeJson } from '../protocol/json-form.js';
import { describeError } from '../routing/describe-error.js';
import { KeptReply, type RouteTry } from '../routing/kept-reply.js';
import type { RouteCall } from '../routing/route-call.js';
import {
  type Asker,
  type Claim,
  type Ending,
  type KeyRule,
  MAX_REPLY_BYTES,
  type Mine,
  nameOf,
  notNow,
  type ReplyStore,
  WITHOUT_REPLY,
} from './reply-store.js';

/** A handler of this process that runs for a key. */
export interface Running {
  readonly until: number;
  /** Called at its end. */
  readonly waiting: Set<() => void>;
}

export interface TryParts {
  store: ReplyStore;
  clock: Pick<Clock, 'now' | 'after'>;
  running: Map<string, Running>;
  /** A unique id of this process. With a number, it makes the token of each try. */
  process: string;
}

/** How many handlers with a key may run at once. Some may never end. */
const MAX_RUNNING = 10_000;
/** After this time, the store is asked again whether another node has the reply, in ms. It doubles each time. */
const ASK_AGAIN_MS = 20;
const ASK_AT_LEAST_MS = 500;
/** How long a message may be on its way and wait here, in ms. Its sender can't count that. */
const MAX_TRANSIT_MS = 60_000;
/** With these codes, the handler refused before it did anything, so a later try may be handled. */
const NEVER_KEPT: readonly string[] = [ErrorCode.Unavailable, ErrorCode.RateLimited, ErrorCode.Timeout];
/** The first character says what is kept. */
const RESPONSE = 'r';
const REFUSAL = 'e';

/** One try of a message with a key. */
export class Try implements RouteTry, Asker {
  /** The handler, or a guard before it, is asynchronous. */
  #isAsync = false;
  #mine: Mine | undefined;
  #running: Running | undefined;

  constructor(
    private readonly parts: TryParts,
    private readonly call: RouteCall,
    readonly owner: string,
    readonly route: string,
    private readonly rule: KeyRule,
    private readonly number: number,
  ) {}

  get isMine(): boolean {
    return this.#mine !== undefined;
  }

  get key(): string {
    return this.call.key as string;
  }

  get token(): string {
    return `${this.parts.process}:${this.number}`;
  }

  claim(): KeptReply | undefined | Promise<KeptReply | undefined> {
    if (this.parts.running.size > 0 && (this.#runningHere() || this.#isFull())) return this.#wait();
    let claim: Claim | Promise<Claim>;
    try {
      claim = this.#ask(this.#sentMsAgo);
    } catch (error) {
      return KeptReply.refusal(error as Error); // not thrown: filters are for what the handler throws
    }
    return !('state' in claim) || claim.state === 'running' ? this.#wait(claim) : this.#taken(claim);
  }

  /** The handler hasn't ended in the turn in which it was called: from now on later tries with this key wait for it. */
  goesOn(): void {
    this.#isAsync = true;
    if (this.#mine) this.#register();
  }

  /** @returns the result; undefined if it was answered already */
  succeeded(result: unknown): unknown {
    if (!this.#mine) return result;
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
    if (!this.#mine) return;
    const { isMeantForPeer, code, error, details } = describeError(this.call.reasonOf(thrown));
    if (!isMeantForPeer) return this.#finish({ state: 'doubt' });
    if (NEVER_KEPT.includes(code)) return this.#finish({ state: 'free' });
    try {
      this.#finish({ state: 'kept', reply: REFUSAL + writeJson({ code, error, details }) });
    } catch {
      this.#finish({ state: 'kept', reply: REFUSAL + writeJson({ code, error }) });
    }
  }

  /** @param asked the store's answer, if it was asked already */
  async #wait(asked?: Claim | Promise<Claim>): Promise<KeptReply | undefined> {
    let waitMs = ASK_AGAIN_MS;
    const firstSentAt = this.parts.clock.now() - (this.#sentMsAgo ?? 0);
    for (;;) {
      const here = asked ? undefined : this.#runningHere();
      if (here) {
        await this.#until((done) => {
          here.waiting.add(done);
          return () => void here.waiting.delete(done);
        });
      } else if (!asked && this.#isFull()) {
        return KeptReply.refusal(notNow('Too many keys are being handled. Try again with the same key.'));
      } else {
        try {
          // What was sent before now may be lost meanwhile.
          const claim = await (asked ?? this.#ask(this.parts.clock.now() - firstSentAt));
          asked = undefined;
          if (claim.state !== 'running') return this.#taken(claim);
          const ms = Math.min(waitMs, claim.forMs + 1);
          await this.#until((done) => this.parts.clock.after(ms, done));
          waitMs = Math.min(2 * waitMs, ASK_AT_LEAST_MS);
        } catch (error) {
          return KeptReply.refusal(error as Error);
        }
      }
      if (this.call.endedBy) return KeptReply.refusal(this.call.endedBy);
    }
  }

  /** How long ago it was sent for the first time, at most: it may have come here as slowly as its connection is old. */
  get #sentMsAgo(): number | undefined {
    const { sentMsAgo, peer } = this.call;
    if (typeof sentMsAgo !== 'number') return undefined;
    const connectedMs = this.parts.clock.now() - (peer.caller?.connectedAt ?? Number.NEGATIVE_INFINITY);
    return Math.max(0, sentMsAgo) + Math.min(connectedMs, MAX_TRANSIT_MS);
  }

  #ask(sentMsAgo: number | undefined): Claim | Promise<Claim> {
    return this.parts.store.claim(this, this.rule, sentMsAgo);
  }

  #taken(claim: Exclude<Claim, { state: 'running' }>): KeptReply | undefined {
    if (claim.state === 'kept') return read(claim.reply);
    if (claim.state === 'doubt') return KeptReply.refusal(inDoubt());
    const { endedBy } = this.call;
    if (endedBy) {
      void this.parts.store.end(claim, { state: 'free' });
      return KeptReply.refusal(endedBy);
    }
    this.#mine = claim;
    if (this.#isAsync) this.#register();
    return undefined;
  }

  #register(): void {
    this.#running = { until: this.parts.clock.now() + (this.rule.runMs ?? this.rule.windowMs), waiting: new Set() };
    this.parts.running.set(nameOf(this), this.#running);
  }

  #finish(ending: Ending): void {
    const { store, running } = this.parts;
    // Nobody has to wait for it: until it is written, later tries wait.
    void store.end(this.#mine as Mine, isTooLong(ending) ? WITHOUT_REPLY : ending);
    if (!this.#running) return;
    const name = nameOf(this);
    if (running.get(name) === this.#running) running.delete(name); // after its window another may have begun
    for (const wake of this.#running.waiting) wake();
  }

  #runningHere(): Running | undefined {
    const { running } = this.parts;
    const here = running.get(nameOf(this));
    return here && here.until > this.parts.clock.now() ? here : undefined;
  }

  /** Forgets handlers that never end, together with their keys. */
  #isFull(): boolean {
    const { running, clock } = this.parts;
    if (running.size < MAX_RUNNING) return false;
    for (const [name, { until }] of running) if (until <= clock.now()) running.delete(name);
    return running.size >= MAX_RUNNING;
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

/** One character takes three bytes of UTF-8 at most, so most replies need no count. */
const isTooLong = (ending: Ending): boolean =>
  ending.state === 'kept' &&
  ending.reply.length > MAX_REPLY_BYTES / 3 &&
  Buffer.byteLength(ending.reply) > MAX_REPLY_BYTES;

function read(kept: string): KeptReply {
  const json = kept.slice(1);
  if (kept.startsWith(RESPONSE)) return KeptReply.response(json);
  if (kept === WITHOUT_REPLY.reply)
    return KeptReply.refusal(
      new PeerError(
        ErrorCode.InDoubt,
        'A message with this key was handled before. Its reply was too long to be kept, or the server keeps too many.',
        { isHandled: true },
      ),
    );
  const { code, error, details } = JSON.parse(json) as { code: string; error: string; details?: unknown };
  return KeptReply.refusal(new PeerError(code, error, details));
}

const inDoubt = (): PeerError =>
  new PeerError(
    ErrorCode.InDoubt,
    'A message with this key was begun before, and it is not known whether it finished. Check that before you send it again with a new key.',
    { isHandled: false },
  );

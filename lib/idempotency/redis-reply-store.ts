import type { Clock } from '../clock.js';
import { Corks } from '../cluster/redis-outlet.js';
import { isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { failureOf } from '../cluster/redis-failure.js';
import { redisReason } from '../cluster/redis-reason.js';
import { withinMs } from '../deadline.js';
import { digestOf } from '../digest.js';
import { PeerError } from '../errors.js';
import { guarded } from '../guarded.js';
import { type Arg, evaluate, type Script } from '../cluster/redis-script.js';
import { errorOf, isA } from '../protocol/thrown.js';
import type { KeyBudget, Taken } from './key-budget.js';
import { CLAIM, END, WATCH } from './reply-scripts.js';
import {
  type Asker,
  type Claim,
  type Ending,
  type KeyRule,
  type Mine,
  nameOf,
  notNow,
  type ReplyStore,
  tooManyKeys,
  WITHOUT_REPLY,
} from './reply-store.js';

export interface RedisReplyStoreParts {
  connection: () => RedisConnection;
  connect(): Promise<void>;
  close(): Promise<void>;
  /** The beginning of all keys. */
  prefix: string;
  clock: Pick<Clock, 'now' | 'after' | 'every'>;
  failed(error: unknown, place: string): void;
  maxPerUser: number;
  budget: KeyBudget;
  leaseMs?: number;
}

/** What this process has claimed, until Redis knows how it ended. */
interface Held extends Mine {
  readonly token: string;
  keys: readonly string[];
  rule: KeyRule;
  until: number;
  taken: Taken;
  /** Undefined while it runs. */
  ending: Ending | undefined;
}

/** How long others wait for a process that has died, in ms. */
const LEASE_MS = 6_000;
/** Bytes of replies that may wait for a Redis that is away. Of those beyond, it is only kept that there was a reply. */
const MAX_WAITING_BYTES = 16_777_216;
/** With more keys than this held, a claim that Redis didn't answer isn't taken back. It is in doubt once its lease has ended. */
const MAX_HELD = 10_000;
/**
 * The keys of one owner lie together in one of these slots of a Redis Cluster. Each slot has its own facts, because each
 * master may lose its keys alone.
 */
const SHARDS = Array.from({ length: 16 }, (_, n) => n.toString(16));
/** Longer than any window. */
const FACTS_MS = 604_800_000;
/** How long `stop()` waits for Redis to take what is left, in ms. */
const STOP_MS = 1_000;

/** The keys of all processes of a Redis. Who handles one renews its lease, so that others see when the process has died. */
export class RedisReplyStore implements ReplyStore {
  readonly #held = new Map<string, Held>();
  readonly #corks = new Corks();
  #stopBeating: (() => void) | undefined;
  #isBeating = false;
  #waitingBytes = 0;

  constructor(private readonly parts: RedisReplyStoreParts) {}

  /** The number of keys that still run, or whose end Redis doesn't know yet. */
  get size(): number {
    return this.#held.size;
  }

  async claim(asker: Asker, rule: KeyRule, sentMsAgo?: number): Promise<Claim> {
    const { token } = asker;
    const keys = this.#keysOf(asker, rule);
    const askedAt = this.parts.clock.now();
    const { leaseMs = LEASE_MS, maxPerUser, budget } = this.parts;
    const { windowMs, runMs = windowMs } = rule;
    const taken = budget.takeKey(runMs);
    const until = askedAt + runMs;
    const held: Held = { state: 'mine', token, keys, rule, until, taken, ending: undefined };
    let wasSent = false;
    try {
      const redis = this.parts.connection();
      if (redis.status !== 'ready') throw new Error(`Redis is ${redis.status}`);
      wasSent = true;
      const mayBeNew = taken.bytes > 0 ? maxPerUser : 0; // what is known already is answered all the same
      const args = [token, windowMs, leaseMs, rule.rerun ? 1 : 0, sentMsAgo ?? '', mayBeNew, FACTS_MS, runMs];
      const [state, rest] = (await this.#run(CLAIM, keys, args)) as [
        Claim['state'] | 'full',
        string | number | undefined,
      ];
      if (state !== 'mine') budget.giveBack(taken);
      if (state === 'full') throw mayBeNew ? tooManyKeys(maxPerUser, windowMs) : budget.refuse(windowMs);
      if (state === 'kept') return { state, reply: rest as string };
      if (state === 'running') return { state, forMs: Number(rest) };
      if (state === 'doubt') return { state };
      this.#held.set(token, held);
      const onItsWayMs = this.parts.clock.now() - askedAt; // the question, or the answer
      const isLate = onItsWayMs >= leaseMs; // others may have it by now, or have heard of a doubt
      if (!isLate && (sentMsAgo === undefined || rule.rerun || sentMsAgo + onItsWayMs <= Number(rest))) return held;
      void this.end(held, { state: 'free' });
      if (isLate) throw unavailable('Redis has answered too late');
      return { state: 'doubt' };
    } catch (error) {
      if (isA(error, PeerError)) throw error;
      if (!wasSent) budget.giveBack(taken);
      // Redis may have it all the same: then nobody would handle it.
      else if (this.#held.size < MAX_HELD) this.#held.set(token, { ...held, ending: { state: 'free' } });
      if (failureOf(errorOf(error)) === 'refused') this.parts.failed(error, 'asking Redis for a key');
      throw unavailable(redisReason(error));
    }
  }

  /** For a new connection: from now on it is known whether Redis has lost something. @throws when Redis refuses */
  async watch(): Promise<void> {
    await Promise.all(SHARDS.map((name) => this.#run(WATCH, [`${this.#shard(name)}facts`], [FACTS_MS])));
  }

  async end({ token }: Held, ending: Ending): Promise<void> {
    const held = this.#held.get(token);
    if (!held) return;
    const { budget } = this.parts;
    const bytes = bytesOf(ending);
    const hasRoom = this.#waitingBytes + bytes <= MAX_WAITING_BYTES && budget.hasRoomFor(bytes);
    held.ending = hasRoom || bytes === 0 ? ending : WITHOUT_REPLY;
    if (ending.state !== 'free') held.taken = budget.renew(held.taken, bytesOf(held.ending), held.rule.windowMs);
    this.#waitingBytes += bytesOf(held.ending);
    await this.#write(token, held);
  }

  async start(): Promise<void> {
    const { clock, leaseMs = LEASE_MS, failed, connect } = this.parts;
    await connect();
    this.#stopBeating ??= clock.every(
      leaseMs / 3,
      guarded('the leases of messages with a key', failed, () => this.#beat()),
    );
  }

  async stop(): Promise<void> {
    this.#stopBeating?.();
    this.#stopBeating = undefined;
    for (const held of this.#held.values()) held.ending ??= { state: 'doubt' };
    await withinMs(
      this.parts.clock,
      STOP_MS,
      Promise.all([...this.#held].map(([token, held]) => this.#write(token, held))),
    );
    this.#held.clear();
    this.#waitingBytes = 0;
    await this.parts.close();
  }

  /** Renews what runs, and writes what Redis couldn't take. */
  async #beat(): Promise<void> {
    const { clock, budget, failed } = this.parts;
    const now = clock.now();
    const told = budget.tell();
    if (told) failed(new Error(told), 'the keys of messages');
    for (const [token, held] of this.#held) if (held.until <= now) this.#forget(token, held);
    if (this.#isBeating || this.#held.size === 0 || this.parts.connection().status !== 'ready') return;
    this.#isBeating = true;
    try {
      await Promise.all([...this.#held].map(([token, held]) => this.#write(token, held)));
    } finally {
      this.#isBeating = false;
    }
  }

  async #write(token: string, held: Held): Promise<void> {
    const { ending } = held;
    try {
      const { leaseMs = LEASE_MS } = this.parts;
      const reply = ending?.state === 'kept' ? ending.reply : '';
      const { windowMs, runMs = windowMs } = held.rule;
      const knownMs = ending ? windowMs : runMs;
      await this.#run(END, held.keys, [ending?.state ?? 'running', token, knownMs, leaseMs, reply]);
      if (ending) this.#forget(token, held);
    } catch (error) {
      this.parts.failed(error, 'keeping the reply to a message with a key');
    }
  }

  #forget(token: string, { ending, taken }: Held): void {
    if (!this.#held.delete(token)) return;
    this.#waitingBytes -= bytesOf(ending);
    if (ending?.state === 'free') this.parts.budget.giveBack(taken);
  }

  #keysOf(asker: Asker, { windowMs }: KeyRule): string[] {
    const ownerDigest = digestOf(asker.owner);
    const head = this.#shard(SHARDS[ownerDigest.charCodeAt(0) % SHARDS.length] as string);
    return [`${head}${digestOf(nameOf(asker))}`, `${head}facts`, `${head}count:${windowMs}:${ownerDigest}`];
  }

  #shard(name: string): string {
    return `${this.parts.prefix}:{once:${name}}:`;
  }

  #run(script: Script, keys: readonly string[], args: readonly Arg[]): Promise<unknown> {
    const redis = this.parts.connection();
    if (!isCluster(redis)) this.#corks.cork(redis.stream);
    return evaluate(redis, script, keys, args);
  }
}

/** @param reason what a client may know about it */
const unavailable = (reason: string): PeerError =>
  notNow(
    `The server can't look up whether this was handled before (${reason}). It was not handled now. Try again with the same key.`,
  );

const bytesOf = (ending: Ending | undefined): number =>
  ending?.state === 'kept' ? Buffer.byteLength(ending.reply) : 0;

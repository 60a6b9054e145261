import type { Clock } from '../clock.js';
import { Corks } from '../cluster/redis-outlet.js';
import { isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { withinMs } from '../deadline.js';
import { digestOf } from '../digest.js';
import { PeerError } from '../errors.js';
import { guarded } from '../guarded.js';
import { evaluate, scriptOf } from '../history/evaluate.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorOf } from '../protocol/thrown.js';
import type { Claim, Ending, KeyRule, ReplyStore } from './reply-store.js';

/**
 * KEYS[1] what is known of the key: its state (R runs, K kept, D doubt), the token of who has it, and the end of its lease
 * or the reply.
 * ARGV[1] claim, running, kept, free or doubt · [2] token · [3] ms that the key is known · [4] ms of the lease · [5] reply
 * · [6] 1: handle again what is in doubt
 * @returns of a claim: its state and the reply or the ms that are left; otherwise 1 if the token still has the key
 */
const SCRIPT = scriptOf(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('GET', KEYS[1])
local state, token, rest
if known then state, token, rest = string.match(known, '^(%a) (%S+) (.*)$') end
local function run(...)
  redis.call('SET', KEYS[1], 'R ' .. ARGV[2] .. ' ' .. string.format('%.0f', now + ARGV[4]), ...)
end
if ARGV[1] == 'claim' then
  if state == 'K' then return { 'kept', rest } end
  if state == 'R' and token ~= ARGV[2] and tonumber(rest) > now then return { 'running', tonumber(rest) - now } end
  if state and token ~= ARGV[2] and ARGV[6] ~= '1' then return { 'doubt' } end
  run('PX', ARGV[3])
  return { 'mine' }
end
if token ~= ARGV[2] then return 0 end
if ARGV[1] == 'running' then run('KEEPTTL')
elseif ARGV[1] == 'free' then redis.call('DEL', KEYS[1])
elseif ARGV[1] == 'kept' then redis.call('SET', KEYS[1], 'K ' .. ARGV[2] .. ' ' .. ARGV[5], 'PX', ARGV[3])
else redis.call('SET', KEYS[1], 'D ' .. ARGV[2] .. ' ', 'PX', ARGV[3]) end
return 1
`);

export interface RedisReplyStoreParts {
  connection: () => RedisConnection;
  connect(): Promise<void>;
  close(): Promise<void>;
  /** The beginning of all keys. */
  prefix: string;
  clock: Pick<Clock, 'now' | 'every'>;
  failed(error: unknown, place: string): void;
  leaseMs?: number;
}

/** What this process has claimed, until Redis knows how it ended. */
interface Held {
  name: string;
  rule: KeyRule;
  until: number;
  /** Undefined while it runs. */
  ending: Ending | undefined;
}

/** How long others wait for a process that has died, in ms. */
const LEASE_MS = 6_000;
/** Bytes of replies that wait for a Redis that is away. Of the rest it is only known that they are in doubt. */
const MAX_WAITING_BYTES = 16_777_216;
/** Above it, a claim that nobody answered isn't taken back: it is in doubt when its lease has ended. */
const MAX_HELD = 10_000;
/** How long the last words may take, in ms. */
const STOP_MS = 1_000;

/** The keys of all processes of a Redis. Who handles one renews its lease, so that others see when the process has died. */
export class RedisReplyStore implements ReplyStore {
  readonly #held = new Map<string, Held>();
  readonly #corks = new Corks();
  #stopBeating: (() => void) | undefined;
  #isBeating = false;
  #waitingBytes = 0;

  constructor(private readonly parts: RedisReplyStoreParts) {}

  /** What Redis doesn't know yet, or what still runs. */
  get size(): number {
    return this.#held.size;
  }

  async claim(key: string, token: string, rule: KeyRule): Promise<Claim> {
    const name = `${this.parts.prefix}:once:${digestOf(key)}`;
    const held: Held = { name, rule, until: this.parts.clock.now() + rule.windowMs, ending: undefined };
    let wasSent = false;
    try {
      const redis = this.parts.connection();
      if (redis.status !== 'ready') throw new Error(`Redis is ${redis.status}`);
      wasSent = true;
      const [state, rest] = (await this.#run(held, token, 'claim')) as [Claim['state'], string | number | undefined];
      if (state === 'mine') this.#held.set(token, held);
      if (state === 'kept') return { state, reply: rest as string };
      return state === 'running' ? { state, forMs: Number(rest) } : { state };
    } catch (error) {
      // Redis may have it all the same: then nobody would handle it.
      if (wasSent && this.#held.size < MAX_HELD) this.#held.set(token, { ...held, ending: { state: 'free' } });
      throw new PeerError(
        ErrorCode.Unavailable,
        `Whether this was handled before can't be looked up (${errorOf(error).message}). It was not handled now. Try again later.`,
      );
    }
  }

  async end(_key: string, token: string, ending: Ending): Promise<void> {
    const held = this.#held.get(token);
    if (!held) return;
    const bytes = bytesOf(ending);
    held.ending = this.#waitingBytes + bytes > MAX_WAITING_BYTES ? { state: 'doubt' } : ending;
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
    await withinMs(STOP_MS, Promise.all([...this.#held].map(([token, held]) => this.#write(token, held))));
    this.#held.clear();
    this.#waitingBytes = 0;
    await this.parts.close();
  }

  /** Renews what runs, and writes what Redis couldn't take. */
  async #beat(): Promise<void> {
    const now = this.parts.clock.now();
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
      await this.#run(held, token, ending?.state ?? 'running', ending?.state === 'kept' ? ending.reply : '');
      if (ending) this.#forget(token, held);
    } catch (error) {
      this.parts.failed(error, 'keeping the reply to a message with a key');
    }
  }

  #forget(token: string, { ending }: Held): void {
    if (this.#held.delete(token)) this.#waitingBytes -= bytesOf(ending);
  }

  #run({ name, rule }: Held, token: string, what: string, reply = ''): Promise<unknown> {
    const redis = this.parts.connection();
    if (!isCluster(redis)) this.#corks.cork(redis.stream);
    const { leaseMs = LEASE_MS } = this.parts;
    return evaluate(redis, SCRIPT, [name], [what, token, rule.windowMs, leaseMs, reply, rule.rerun ? 1 : 0]);
  }
}

const bytesOf = (ending: Ending | undefined): number => (ending?.state === 'kept' ? ending.reply.length : 0);

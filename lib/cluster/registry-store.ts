import type { ChainableCommander } from 'ioredis';
import { readVersion } from './bus-input.js';
import { FieldReader, type FieldWrites, type Split, split } from './client-fields.js';
import { ForeignKeys, isWrongType } from './foreign-keys.js';
import { BATCH, batchesOf, pairsOf, run } from './redis-batches.js';
import { permissionError, refusalIn } from './redis-failure.js';
import type { RedisConnection } from './redis-connections.js';
import { evaluate, scriptOf } from './redis-script.js';
import type { ClientRecord } from './client-record.js';
import type { Digest, Snapshot } from './replica.js';
import type { Steps } from '../steps.js';
import type { Lease, RegistryStore, Renewal } from './store-contract.js';

/** How long a node counts as alive after it renewed its lease, in ms. */
export const LEASE_MS = 6_000;
/**
 * The hash outlives the lease, so that the node that buries it can still read whose clients were lost, in ms. The set of
 * nodes stays as long.
 */
const HASH_MS = 60_000;
/**
 * The values of a lease. Both are written only if there is none: either the node renews it or one other node buries it,
 * and neither overwrites the other. Only a node whose end was announced before is marked as dead even with a lease.
 */
const ALIVE = 'alive';
const DEAD = 'dead';
/** The field with the digest. No client id begins like this. */
const DIGEST = '$';
/** Neither a field nor a node. */
const NO_FIELD = '$none';
const READING = 'reading the clients of a node';

/** Separates what is written from what is removed. No field is empty. */
const REMOVED = '';
/**
 * Changes a hash, but never makes one: a write may arrive after its node was buried, and would stay for ever. A hash has
 * a digest, so if each field is new, there was none.
 * ARGV: the digest; fields and values to write; `REMOVED`; fields to remove
 */
const CHANGE = scriptOf(`
local last = #ARGV
for at = 2, #ARGV, 2 do
  if ARGV[at] == '${REMOVED}' then last = at - 1 break end
end
local new = redis.call('HSET', KEYS[1], '${DIGEST}', unpack(ARGV, 1, last))
if 2 * new == last + 1 then redis.call('DEL', KEYS[1])
elseif last < #ARGV then redis.call('HDEL', KEYS[1], unpack(ARGV, last + 2)) end`);

/** All keys of a node share a hash tag, so that a Redis Cluster keeps them in one slot. */
export class RedisRegistryStore implements RegistryStore {
  readonly #foreign: ForeignKeys;

  constructor(
    private readonly connection: () => RedisConnection,
    private readonly prefix: string,
    private readonly steps: Steps,
    failed: (error: Error) => void,
    /** Called for each entry that isn't a client. It is skipped. */
    private readonly junk: () => void = () => undefined,
  ) {
    this.#foreign = new ForeignKeys(connection, failed);
  }

  isReachable(): boolean {
    return this.connection().status === 'ready';
  }

  refusalIn(error: unknown): Error | undefined {
    const refusal = refusalIn(error);
    return refusal && permissionError(refusal, `${this.prefix}:`);
  }

  async register(nodeId: string, digest: Digest, fields: FieldWrites): Promise<boolean> {
    const [clients, lease] = [this.#clients(nodeId), this.#lease(nodeId)];
    const results = await this.#foreign.mend([lease], () => {
      const transaction = this.connection().multi().del(clients);
      this.#addTo(transaction, clients, digest, split(fields));
      transaction.set(lease, ALIVE, 'PX', LEASE_MS, 'NX');
      return run(transaction.pexpire(lease, LEASE_MS, 'GT').get(lease));
    });
    if (results.at(-1) === DEAD) return false;
    await this.enlist(nodeId);
    return true;
  }

  async rehearse(nodeId: string): Promise<void> {
    const connection = this.connection();
    const clients = this.#clients(nodeId);
    await Promise.all([
      connection.hget(clients, DIGEST),
      connection.hlen(clients),
      connection.hdel(clients, NO_FIELD),
      connection.srem(this.#nodes, NO_FIELD),
      // by its text, so that Redis knows it from now on
      connection.eval(CHANGE.text, 1, this.#clients(NO_FIELD), ''),
      connection.evalsha(CHANGE.digest, 1, this.#clients(NO_FIELD), ''),
    ]);
  }

  async write(nodeId: string, digest: Digest, fields: FieldWrites): Promise<void> {
    const clients = this.#clients(nodeId);
    const { removed, written } = split(fields);
    if (removed.length + written.length <= BATCH) {
      const args = [toText(digest), ...written, ...(removed.length > 0 ? [REMOVED, ...removed] : removed)];
      return void (await this.#foreign.mend([clients], () => evaluate(this.connection(), CHANGE, [clients], args)));
    }
    await this.#foreign.mend([clients], () => {
      const transaction = this.connection().multi();
      this.#addTo(transaction, clients, digest, { removed, written });
      return run(transaction);
    });
  }

  async renew(nodeId: string, digest: Digest): Promise<Renewal> {
    const connection = this.connection();
    const clients = this.#clients(nodeId);
    const lease = this.#lease(nodeId);
    const [found, isExtended, , [stored, size]] = await Promise.all([
      this.#leaseOf(nodeId),
      connection.pexpire(lease, LEASE_MS, 'GT'), // never shortens the mark of a dead node
      connection.pexpire(clients, HASH_MS),
      this.#foreign.mend([clients], () => Promise.all([connection.hget(clients, DIGEST), connection.hlen(clients)])),
    ]);
    if (found === 'dead') return 'buried';
    if (found === 'none' && (await connection.set(lease, ALIVE, 'PX', LEASE_MS, 'NX')) !== 'OK') return 'buried';
    if (found === 'alive' && isExtended === 0) await connection.set(lease, ALIVE, 'PX', LEASE_MS, 'XX'); // it had no expiry
    if (size === 0) return 'lost';
    return stored === toText(digest) && size === digest.count + 1 ? 'kept' : 'incomplete';
  }

  async enlist(nodeId: string): Promise<void> {
    const nodes = this.#nodes;
    await this.#foreign.mend([nodes], () => run(this.connection().multi().sadd(nodes, nodeId).pexpire(nodes, HASH_MS)));
  }

  async keepList(): Promise<void> {
    await this.connection().pexpire(this.#nodes, HASH_MS);
  }

  async leases(knownIds: Iterable<string>): Promise<Map<string, Lease>> {
    const connection = this.connection();
    const listed = await this.#foreign.mend([this.#nodes], () => connection.smembers(this.#nodes));
    const nodeIds = [...new Set([...listed, ...knownIds])];
    const leases = await Promise.all(nodeIds.map((nodeId) => this.#leaseOf(nodeId)));
    return new Map(nodeIds.map((nodeId, index) => [nodeId, leases[index] as Lease]));
  }

  async read(nodeId: string): Promise<Snapshot> {
    const reader = new FieldReader(nodeId, this.junk);
    const records = new Map<string, ClientRecord>();
    let digest: Digest | undefined;
    let count = 0;
    await this.steps.each(await this.#fieldsOf(nodeId), READING, ([name, value]) => {
      const field = name.toString();
      const text = value.toString();
      if (field !== DIGEST) {
        count++;
        return reader.read(field, text);
      }
      digest = toDigest(text);
      if (!digest) this.junk();
    });
    // In a map, so that the ids are hashed in steps, too: to look them all up at once would take a long turn.
    await this.steps.each(reader.records(), READING, (record) => void records.set(record.clientId, record));
    return {
      digest: digest ?? { version: 0, count: 0 },
      records: [...records.values()],
      isComplete: digest?.count === count,
    };
  }

  async bury(nodeId: string): Promise<boolean> {
    return (await this.connection().set(this.#lease(nodeId), DEAD, 'PX', HASH_MS, 'NX')) === 'OK';
  }

  async condemn(nodeId: string): Promise<void> {
    await this.connection().set(this.#lease(nodeId), DEAD, 'PX', HASH_MS);
  }

  async strike(nodeId: string): Promise<void> {
    const connection = this.connection();
    const unlist = (): Promise<number> => connection.srem(this.#nodes, nodeId);
    await Promise.all([this.#foreign.mend([this.#nodes], unlist), connection.del(this.#clients(nodeId))]);
  }

  async leave(nodeId: string): Promise<void> {
    await Promise.all([this.condemn(nodeId), this.strike(nodeId)]);
  }

  async #leaseOf(nodeId: string): Promise<Lease> {
    const key = this.#lease(nodeId);
    const value = await this.#foreign.mend([key], () => this.connection().get(key));
    if (value === ALIVE) return 'alive';
    if (value === DEAD) return 'dead';
    if (value !== null) await this.#foreign.remove([key]);
    return 'none';
  }

  /** The fields as buffers: `hgetall()` would convert all of them in one step. None of a key that isn't a hash. */
  async #fieldsOf(nodeId: string): Promise<Iterable<[Buffer | string, Buffer]>> {
    try {
      return await this.#readFields(nodeId);
    } catch (error) {
      if (isWrongType(error)) return []; // its node mends it
      throw error;
    }
  }

  async #readFields(nodeId: string): Promise<Iterable<[Buffer | string, Buffer]>> {
    const connection = this.connection();
    const key = this.#clients(nodeId);
    // Older versions of ioredis add the application's own prefix only to commands in lower case.
    if (connection.options.keyPrefix) return Object.entries(await connection.hgetallBuffer(key));
    const answer = (await connection.callBuffer('HGETALL', key)) as Buffer[] | Map<Buffer, Buffer>;
    return Array.isArray(answer) ? pairsOf(answer) : answer;
  }

  /** Any number of fields. They may make the hash: it has an expiry. */
  #addTo(transaction: ChainableCommander, clients: string, digest: Digest, { removed, written }: Split): void {
    for (const batch of batchesOf(removed)) transaction.hdel(clients, ...batch);
    for (const batch of batchesOf([DIGEST, toText(digest), ...written])) transaction.hset(clients, ...batch);
    transaction.pexpire(clients, HASH_MS);
  }

  get #nodes(): string {
    return `${this.prefix}:nodes`;
  }

  #lease(nodeId: string): string {
    return `${this.prefix}:{${nodeId}}:lease`;
  }

  #clients(nodeId: string): string {
    return `${this.prefix}:{${nodeId}}:clients`;
  }
}

const toText = ({ version, count }: Digest): string => `${version} ${count}`;

function toDigest(text: string): Digest | undefined {
  const [version = Number.NaN, count = Number.NaN] = text.split(' ').map(readVersion);
  return Number.isNaN(version + count) ? undefined : { version, count };
}

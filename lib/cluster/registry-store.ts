import type { ChainableCommander } from 'ioredis';
import { readVersion } from './bus-input.js';
import { FieldReader, type FieldWrites } from './client-fields.js';
import { permissionError } from './redis-failure.js';
import type { RedisConnection } from './redis-connections.js';
import type { ClientRecord } from './client-record.js';
import type { Digest, Snapshot } from './replica.js';
import type { Steps } from './steps.js';
import type { Lease, RegistryStore, Renewal } from './store-contract.js';

/** How long a node counts as alive after it renewed its lease, in ms. */
export const LEASE_MS = 6_000;
/** The hash outlives the lease, so that the node that buries it can still read whose clients were lost, in ms. */
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
/** How many fields and values one command has at most. */
const BATCH = 1_000;
const READING = 'reading the clients of a node';

/** All keys of a node share a hash tag, so that a Redis Cluster keeps them in one slot. */
export class RedisRegistryStore implements RegistryStore {
  constructor(
    private readonly connection: () => RedisConnection,
    private readonly prefix: string,
    private readonly steps: Steps,
    /** Called for each entry that isn't a client. It is skipped. */
    private readonly junk: () => void = () => undefined,
  ) {}

  isReachable(): boolean {
    return this.connection().status === 'ready';
  }

  refusalIn(error: unknown): Error | undefined {
    const refusal = refusalOf(error);
    return refusal && permissionError(refusal, `${this.prefix}:`);
  }

  async register(nodeId: string, digest: Digest, fields: FieldWrites): Promise<boolean> {
    const clients = this.#clients(nodeId);
    const transaction = this.connection().multi().del(clients).hset(clients, DIGEST, toText(digest));
    for (const batch of batchesOf(split(fields).written)) transaction.hset(clients, ...batch);
    const lease = this.#lease(nodeId);
    transaction.pexpire(clients, HASH_MS).set(lease, ALIVE, 'PX', LEASE_MS, 'NX');
    const results = await run(transaction.pexpire(lease, LEASE_MS, 'GT').get(lease));
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
    ]);
  }

  async write(nodeId: string, digest: Digest, fields: FieldWrites, isLeased: boolean): Promise<void> {
    const clients = this.#clients(nodeId);
    const { removed, written } = split(fields);
    written.push(DIGEST, toText(digest));
    // One command needs no transaction: a lone join costs a third less without it.
    const isOne = isLeased && removed.length === 0 && written.length <= BATCH;
    if (isOne) return void (await this.connection().hset(clients, ...written));
    const transaction = this.connection().multi();
    for (const batch of batchesOf(removed)) transaction.hdel(clients, ...batch);
    for (const batch of batchesOf(written)) transaction.hset(clients, ...batch);
    if (!isLeased) transaction.pexpire(clients, HASH_MS);
    await run(transaction);
  }

  async renew(nodeId: string, digest: Digest): Promise<Renewal> {
    const connection = this.connection();
    const clients = this.#clients(nodeId);
    const lease = this.#lease(nodeId);
    const [found, , , stored, size] = await Promise.all([
      connection.get(lease),
      connection.pexpire(lease, LEASE_MS, 'GT'), // never shortens the mark of a dead node
      connection.pexpire(clients, HASH_MS),
      connection.hget(clients, DIGEST),
      connection.hlen(clients),
    ]);
    if (found === DEAD) return 'buried';
    if (found === null && (await connection.set(lease, ALIVE, 'PX', LEASE_MS, 'NX')) !== 'OK') return 'buried';
    if (size === 0) return 'lost';
    return stored === toText(digest) && size === digest.count + 1 ? 'kept' : 'incomplete';
  }

  async enlist(nodeId: string): Promise<void> {
    await this.connection().sadd(this.#nodes, nodeId);
  }

  async leases(knownIds: Iterable<string>): Promise<Map<string, Lease>> {
    const connection = this.connection();
    const nodeIds = [...new Set([...(await connection.smembers(this.#nodes)), ...knownIds])];
    const values = await Promise.all(nodeIds.map((nodeId) => connection.get(this.#lease(nodeId))));
    return new Map(nodeIds.map((nodeId, index) => [nodeId, toLease(values[index])]));
  }

  async read(nodeId: string): Promise<Snapshot> {
    const reader = new FieldReader(nodeId, this.junk);
    const records: ClientRecord[] = [];
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
    await this.steps.each(reader.records(), READING, (record) => void records.push(record));
    return { digest: digest ?? { version: 0, count: 0 }, records, isComplete: digest?.count === count };
  }

  async bury(nodeId: string): Promise<boolean> {
    return (await this.connection().set(this.#lease(nodeId), DEAD, 'PX', HASH_MS, 'NX')) === 'OK';
  }

  async condemn(nodeId: string): Promise<void> {
    await this.connection().set(this.#lease(nodeId), DEAD, 'PX', HASH_MS);
  }

  async strike(nodeId: string): Promise<void> {
    const connection = this.connection();
    await Promise.all([connection.srem(this.#nodes, nodeId), connection.del(this.#clients(nodeId))]);
  }

  async leave(nodeId: string): Promise<void> {
    await Promise.all([this.condemn(nodeId), this.strike(nodeId)]);
  }

  /** The fields as buffers: `hgetall()` would convert all of them in one step. */
  async #fieldsOf(nodeId: string): Promise<Iterable<[Buffer | string, Buffer]>> {
    const connection = this.connection();
    const key = this.#clients(nodeId);
    // Older versions of ioredis add the application's own prefix only to commands in lower case.
    if (connection.options.keyPrefix) return Object.entries(await connection.hgetallBuffer(key));
    const answer = (await connection.callBuffer('HGETALL', key)) as Buffer[] | Map<Buffer, Buffer>;
    return Array.isArray(answer) ? pairsOf(answer) : answer;
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

function* pairsOf(list: readonly Buffer[]): Iterable<[Buffer, Buffer]> {
  for (let index = 0; index < list.length; index += 2) yield [list[index] as Buffer, list[index + 1] as Buffer];
}

/** A call can't have any number of arguments. */
function* batchesOf(items: readonly string[]): Iterable<string[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}

/** Fields to remove, and fields with their values to write. */
function split(fields: FieldWrites): { removed: string[]; written: string[] } {
  const [removed, written]: [string[], string[]] = [[], []];
  for (const [field, text] of fields) {
    if (text === undefined) removed.push(field);
    else written.push(field, text);
  }
  return { removed, written };
}

/** A transaction resolves even if one of its commands failed. */
async function run(transaction: ChainableCommander): Promise<unknown[]> {
  const results = (await transaction.exec()) ?? [];
  for (const [error] of results) if (error) throw error;
  return results.map(([, result]) => result);
}

/** Finds a denied permission in an error, or in one of those of a transaction. */
function refusalOf(error: unknown): Error | undefined {
  if (!(error instanceof Error)) return undefined;
  const { previousErrors = [] } = error as { previousErrors?: unknown[] };
  const [refusal] = /\bNOPERM\b.*/.exec(error.message) ?? [];
  return previousErrors.map(refusalOf).find(Boolean) ?? (refusal === undefined ? undefined : new Error(refusal));
}

const toText = ({ version, count }: Digest): string => `${version} ${count}`;

function toDigest(text: string): Digest | undefined {
  const [version = Number.NaN, count = Number.NaN] = text.split(' ').map(readVersion);
  return Number.isNaN(version + count) ? undefined : { version, count };
}

function toLease(value: string | null | undefined): Lease {
  if (value === null || value === undefined) return 'none';
  return value === DEAD ? 'dead' : 'alive';
}

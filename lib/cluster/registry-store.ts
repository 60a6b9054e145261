import type { ChainableCommander } from 'ioredis';
import { readJson, readRecord, readVersion } from './bus-input.js';
import type { RedisConnection } from './redis-connections.js';
import type { ClientRecord } from './replica.js';

/** Where the truth lies: per node a lease and a hash of its clients. */
export interface RegistryStore {
  /**
   * Makes the node known with these clients, in place of whatever was written of it before. False for one that isn't new
   * and has no lease any more: others take it for dead.
   */
  register(
    nodeId: string,
    version: number,
    records: Iterable<ClientRecord>,
    options: { isNew: boolean },
  ): Promise<boolean>;
  /** One client's record; undefined: it is gone. */
  write(nodeId: string, version: number, clientId: string, record: ClientRecord | undefined): Promise<void>;
  /** Renews the lease. False when there is none any more: others take this node for dead. */
  renew(nodeId: string, version: number): Promise<boolean>;
  /** Every known node, with the version its lease names; undefined where the lease ran out. */
  leases(): Promise<Map<string, number | undefined>>;
  read(nodeId: string): Promise<{ version: number; records: ClientRecord[] } | undefined>;
  /** Removes a dead node. True for exactly one of those who try. */
  reap(nodeId: string): Promise<boolean>;
}

/** How long a node counts as alive without renewing its lease, in ms. */
export const LEASE_MS = 6_000;
/** A hash outlives its lease so that the reaper can still tell whose clients were lost; then it goes by itself. */
const HASH_MS = 60_000;
/** The field of the hash that holds the version; no client id begins so. */
const VERSION = '$version';
const BATCH = 500;

/** Keys of one node share a hash tag, so that a Redis Cluster keeps them in one slot. */
export class RedisRegistryStore implements RegistryStore {
  constructor(
    private readonly connection: () => RedisConnection,
    private readonly prefix: string,
    /** Called for each entry that is nobody's client; it is passed over. */
    private readonly junk: () => void = () => undefined,
  ) {}

  async register(
    nodeId: string,
    version: number,
    records: Iterable<ClientRecord>,
    { isNew }: { isNew: boolean },
  ): Promise<boolean> {
    const connection = this.connection();
    const clients = this.#clients(nodeId);
    const fields = [...records].flatMap((record) => [record.clientId, JSON.stringify(record)]);
    const transaction = connection.multi().del(clients).hset(clients, VERSION, version).pexpire(clients, HASH_MS);
    for (let start = 0; start < fields.length; start += 2 * BATCH) {
      transaction.hset(clients, ...fields.slice(start, start + 2 * BATCH));
    }
    const lease = this.#lease(nodeId);
    if (isNew) transaction.set(lease, version, 'PX', LEASE_MS);
    else transaction.set(lease, version, 'PX', LEASE_MS, 'XX'); // between two commands it may have been buried
    const results = await run(transaction);
    if (isNew) await connection.sadd(this.#nodes, nodeId);
    return results.at(-1) === 'OK';
  }

  async write(nodeId: string, version: number, clientId: string, record: ClientRecord | undefined): Promise<void> {
    const clients = this.#clients(nodeId);
    const connection = this.connection();
    const transaction = record
      ? connection.multi().hset(clients, VERSION, version, clientId, JSON.stringify(record))
      : connection.multi().hdel(clients, clientId).hset(clients, VERSION, version);
    await run(transaction.pexpire(clients, HASH_MS)); // written after a burial, it must not stay for ever
  }

  async renew(nodeId: string, version: number): Promise<boolean> {
    const connection = this.connection();
    const [renewed] = await Promise.all([
      connection.set(this.#lease(nodeId), version, 'PX', LEASE_MS, 'XX'),
      connection.pexpire(this.#clients(nodeId), HASH_MS),
    ]);
    return renewed === 'OK';
  }

  async leases(): Promise<Map<string, number | undefined>> {
    const connection = this.connection();
    const nodeIds = await connection.smembers(this.#nodes);
    const versions = await Promise.all(nodeIds.map((nodeId) => connection.get(this.#lease(nodeId))));
    return new Map(nodeIds.map((nodeId, index) => [nodeId, toVersion(versions[index])]));
  }

  async read(nodeId: string): Promise<{ version: number; records: ClientRecord[] } | undefined> {
    const { [VERSION]: version, ...fields } = await this.connection().hgetall(this.#clients(nodeId));
    if (version === undefined) return undefined;
    const number = readVersion(version);
    if (Number.isNaN(number)) {
      this.junk();
      return undefined;
    }
    const records: ClientRecord[] = [];
    for (const [clientId, text] of Object.entries(fields)) {
      const record = readRecord(readJson(text), clientId);
      if (record) records.push(record);
      else this.junk();
    }
    return { version: number, records };
  }

  async reap(nodeId: string): Promise<boolean> {
    const connection = this.connection();
    const isFirst = (await connection.srem(this.#nodes, nodeId)) === 1;
    if (isFirst) await connection.del(this.#clients(nodeId), this.#lease(nodeId));
    return isFirst;
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

/** A transaction resolves even when a command in it failed. */
async function run(transaction: ChainableCommander): Promise<unknown[]> {
  const results = (await transaction.exec()) ?? [];
  for (const [error] of results) if (error) throw error;
  return results.map(([, result]) => result);
}

/** A lease whose version can't be is one all the same: NaN, which no copy is up to date with. */
const toVersion = (value: string | null | undefined): number | undefined => (value ? readVersion(value) : undefined);

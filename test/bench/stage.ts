import type { Cpu, Publishing, ServerSettings } from './contract.js';
import type { Counting } from './counter.js';
import type { Connecting, Count } from './load.js';
import { PEERS, type PeerName } from './peers.js';
import { MEASURED, OTHERS, Worker } from './worker.js';

/** One figure of one peer in one round. */
export interface Sample {
  figure: string;
  peer: PeerName;
  value: number;
  /** Of one core, of the load generator; above 0.85 it may have been what was measured. */
  loadShare: number;
}

export interface Setting {
  /** The compiled module. */
  dist: string;
  bun: string | undefined;
  /** `delivery.flush` of this module, JSON. */
  flush: string;
  isQuick: boolean;
}

/** The processes of one workload for one peer, and what they are asked. */
export class Stage {
  readonly samples: Sample[] = [];
  /** What came wrong: a figure beside it means nothing. */
  readonly flaws: string[] = [];
  readonly #workers: Worker[] = [];

  constructor(
    readonly peer: PeerName,
    readonly setting: Setting,
  ) {}

  /** The shorter time for a quick run. */
  ms(whole: number, quick: number): number {
    return this.setting.isQuick ? quick : whole;
  }

  async server(settings: ServerSettings = {}, core = MEASURED): Promise<Worker> {
    const { file } = PEERS[this.peer];
    const { dist, bun, flush } = this.setting;
    const runtime = this.peer === 'bun' ? bun : undefined;
    return this.#started(
      Worker.start({ file, settings, core, env: { BENCH_DIST: dist, BENCH_FLUSH: flush }, runtime }),
    );
  }

  async load(): Promise<Worker> {
    return this.#started(Worker.start({ file: 'load.ts', core: OTHERS }));
  }

  /** A load of its own, beside this file. */
  async started(file: string): Promise<Worker> {
    return this.#started(Worker.start({ file, core: OTHERS }));
  }

  async connect(load: Worker, server: Worker, count: number, options: Partial<Connecting> = {}): Promise<void> {
    const { dialect } = PEERS[this.peer];
    await load.ask('connect', { port: server.port, dialect, count, ...options } satisfies Connecting);
  }

  /**
   * Has `publisher` publish, waits until every message has come `perMessage` times, and measures the processor time that
   * `measured` spent meanwhile.
   */
  async publish(
    load: Worker,
    publisher: Worker,
    perMessage: number,
    publishing: Publishing,
    { measured = publisher, counting = { isConsecutive: true } }: { measured?: Worker; counting?: Counting } = {},
  ): Promise<{ published: number; cpuMs: number; count: Count }> {
    const result = await this.offer(load, publisher, perMessage, publishing, { measured, counting });
    this.#check(result.count, result.published * perMessage);
    return result;
  }

  /** The same for a load that may be too high: what never came is for the caller to judge. */
  async offer(
    load: Worker,
    publisher: Worker,
    perMessage: number,
    publishing: Publishing,
    { measured, counting }: { measured: Worker; counting: Counting },
  ): Promise<{ published: number; cpuMs: number; count: Count }> {
    await load.ask('count', counting);
    const before = await measured.ask<Cpu>('cpu');
    const { published } = await publisher.ask<{ published: number }>('publish', publishing);
    const count = await load.ask<Count>('received', { total: published * perMessage });
    const after = await measured.ask<Cpu>('cpu');
    return { published, cpuMs: after.cpuMs - before.cpuMs, count };
  }

  record(figure: string, value: number, count: Pick<Count, 'cpuShare'>): void {
    this.samples.push({ figure, peer: this.peer, value, loadShare: count.cpuShare });
  }

  flawed(what: string): void {
    this.flaws.push(`${this.peer}: ${what}`);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  #check({ received, disordered }: Count, total: number): void {
    if (received !== total) this.flawed(`${received} messages came instead of ${total}`);
    if (disordered > 0) this.flawed(`${disordered} messages came out of order, twice, or after a missing one`);
  }

  async #started(worker: Promise<Worker>): Promise<Worker> {
    this.#workers.push(await worker);
    return worker;
  }
}

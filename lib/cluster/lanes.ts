import type { Channels } from './channels.js';
import { Lane, type LaneOptions } from './lane.js';
import type { Transport, TransportState, Way } from './transport.js';

export interface LanesOptions extends Pick<LaneOptions, 'clock' | 'random' | 'changed'> {
  /** The id that this node had first. */
  nodeId: string;
  failed(error: Error, place: string): void;
}

/** Channels beyond this are given up looking for one that takes a way: a master has one slot in a hundred at least. */
const MAX_PROBES = 10_000;

/** What this node hears, over all the ways in that there are: each channel on the one that it takes. */
export class Lanes {
  readonly #lanes = new Map<Way, Lane>();
  /** Wanted, and no way leads there. */
  readonly #homeless = new Set<string>();
  readonly #vital = new Set<string>();
  /** By the clock of this process. */
  readonly #wantedSince = new Map<string, number>();

  constructor(
    private readonly transport: Transport,
    private readonly channels: Channels,
    private readonly options: LanesOptions,
  ) {}

  /** True when a probe came back on each way since the last change, and none is missing. */
  get isProved(): boolean {
    return this.#lanes.size > 0 && this.#homeless.size === 0 && this.away.length === 0;
  }

  /** The names of the ways that aren't proved. */
  get away(): string[] {
    return [...this.#lanes.values()].flatMap(({ isProved, way }) => (isProved ? [] : [way.name]));
  }

  /** Wants a channel without which this node isn't ready. */
  want(channel: string): void {
    this.#vital.add(channel);
    this.#noteWish(channel);
    const lane = this.#laneOf(channel);
    if (lane) lane.subscriptions.want(channel);
    else this.#homeless.add(channel);
  }

  /** As `Subscriptions.add()` does; at once where the way is away. */
  async add(channel: string): Promise<void> {
    this.#noteWish(channel);
    const lane = this.#laneOf(channel);
    if (!lane) return void this.#homeless.add(channel);
    const added = lane.subscriptions.add(channel);
    if (lane.isProved) await added;
  }

  remove(channel: string): void {
    this.#homeless.delete(channel);
    this.#wantedSince.delete(channel);
    this.#laneOf(channel)?.subscriptions.remove(channel);
  }

  /** Undefined for a channel that isn't wanted. */
  wantedSince(channel: string): number | undefined {
    return this.#wantedSince.get(channel);
  }

  /** Whether this event comes here when anybody raises it. */
  hears(event: string): boolean {
    const channel = this.channels.eventsOf(event);
    return this.#laneOf(channel)?.subscriptions.wants(channel) ?? this.#homeless.has(channel);
  }

  /** @returns false for what arrived on a channel that was given up: it was on its way */
  takes(channel: string, way: Way): boolean {
    const lane = this.#lanes.get(way);
    lane?.sawTraffic();
    return lane?.subscriptions.wants(channel) === true;
  }

  heard(number: number, way: Way): void {
    this.#lanes.get(way)?.heard(number);
  }

  wayChanged(way: Way, state: TransportState): void {
    const lane = this.#lanes.get(way);
    if (state === 'down') return lane?.closed();
    lane?.opened().catch((error: Error) => this.options.failed(error, 'subscribing'));
  }

  /** The way out is another one: what was proved before was proved by the old one. */
  outletChanged(): void {
    for (const lane of this.#lanes.values()) lane.unprove();
    this.beat();
  }

  /** A probe goes out for each way. */
  beat(): void {
    if (!this.transport.isOpen) return;
    for (const lane of this.#lanes.values()) lane.beat();
  }

  /** Ways came or went, or channels take another: each moves to where it belongs now. */
  reroute(): void {
    const { ways } = this.transport;
    const moved = [...this.#homeless];
    this.#homeless.clear();
    const isProbeOf = (lane: Lane): boolean => this.transport.wayOf(lane.probeChannel) === lane.way;
    for (const [way, lane] of this.#lanes) {
      const isGone = !ways.includes(way) || !isProbeOf(lane);
      for (const channel of lane.subscriptions.wanted) {
        if (channel === lane.probeChannel || (!isGone && this.transport.wayOf(channel) === way)) continue;
        moved.push(channel);
        if (!isGone) lane.subscriptions.remove(channel);
      }
      if (!isGone) continue;
      lane.stop();
      this.#lanes.delete(way);
    }
    for (const way of ways) if (!this.#lanes.has(way)) this.#open(way);
    for (const channel of moved) {
      if (this.#vital.has(channel)) this.want(channel);
      void this.add(channel).catch(() => undefined); // reported; whoever asked for it heard of its first way
    }
    this.options.changed();
  }

  stop(): void {
    for (const lane of this.#lanes.values()) lane.stop();
  }

  #open(way: Way): void {
    const probeChannel = this.#probeFor(way);
    if (probeChannel === undefined) return;
    const lane = new Lane(way, {
      ...this.options,
      probeChannel,
      publish: (channel, payload) => this.transport.publish(channel, payload),
      silent: (isOutletSuspect) => this.#rebuild(lane, isOutletSuspect),
      failed: (error) => this.options.failed(error, 'subscribing'),
    });
    this.#lanes.set(way, lane);
    if (way.state === 'up') this.wayChanged(way, 'up');
  }

  #rebuild({ way, probeChannel }: Lane, isOutletSuspect: boolean): void {
    this.options.failed(new Error(`Nothing comes back from Redis (${way.name}): it is connected anew.`), 'a probe');
    if (isOutletSuspect) this.transport.rebuildOutlet(probeChannel);
    way.rebuild();
  }

  #probeFor(way: Way): string | undefined {
    let left = MAX_PROBES;
    for (const channel of this.channels.probes(this.options.nodeId)) {
      if (this.transport.wayOf(channel) === way) return channel;
      if (--left === 0) break;
    }
    return undefined; // it has no slots yet
  }

  #noteWish(channel: string): void {
    if (!this.#wantedSince.has(channel)) this.#wantedSince.set(channel, this.options.clock.now());
  }

  #laneOf(channel: string): Lane | undefined {
    const way = this.transport.wayOf(channel);
    return way && this.#lanes.get(way);
  }
}

import type { Channels } from './channels.js';
import { Lane, type LaneOptions, type Suspects } from './lane.js';
import type { Transport, TransportState, Way } from './transport.js';

export interface LanesOptions extends Pick<LaneOptions, 'clock' | 'random' | 'changed'> {
  /** The first id of this node. */
  nodeId: string;
  failed(error: Error, place: string): void;
}

/** How many channels are tried to find one that takes a given way. A master has at least one slot in a hundred. */
const MAX_PROBES = 10_000;

/** All ways in, each with the channels that take it. */
export class Lanes {
  readonly #lanes = new Map<Way, Lane>();
  /** Channels that no way leads to. */
  readonly #homeless = new Set<string>();
  readonly #vital = new Set<string>();
  /** By the clock of this process. */
  readonly #wantedSince = new Map<string, number>();

  constructor(
    private readonly transport: Transport,
    private readonly channels: Channels,
    private readonly options: LanesOptions,
  ) {}

  /** True when there is a way for each channel, and a probe came back on each since the last change. */
  get isProved(): boolean {
    return this.#lanes.size > 0 && this.#homeless.size === 0 && this.away.length === 0;
  }

  /** The names of the ways that aren't proved. */
  get away(): string[] {
    return [...this.#lanes.values()].flatMap(({ isProved, way }) => (isProved ? [] : [way.name]));
  }

  /** Adds a channel that this node needs to be ready. */
  want(channel: string): void {
    this.#vital.add(channel);
    this.#noteWish(channel);
    const lane = this.#laneOf(channel);
    if (lane) lane.subscriptions.want(channel);
    else this.#homeless.add(channel);
  }

  /** Like `Subscriptions.add()`. Resolves at once if the way is away. */
  async add(channel: string): Promise<void> {
    this.#noteWish(channel);
    for (;;) {
      const lane = this.#laneOf(channel);
      if (!lane) return void this.#homeless.add(channel);
      if (!lane.isProved) return lane.subscriptions.owe(channel);
      await lane.subscriptions.add(channel);
      if (lane === this.#laneOf(channel) || !this.#wantedSince.has(channel)) return; // else it moved meanwhile
    }
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

  /** Whether this event arrives here when another process raises it. */
  hears(event: string): boolean {
    const channel = this.channels.eventsOf(event);
    return this.#laneOf(channel)?.subscriptions.wants(channel) ?? this.#homeless.has(channel);
  }

  /** @returns false for a message that was under way when this node left its channel */
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

  subscriptionsEnded(way: Way): void {
    this.#lanes.get(way)?.subscriptions.renew();
  }

  /** The way out is new. Earlier probes proved the old one. */
  outletChanged(): void {
    for (const lane of this.#lanes.values()) lane.unprove();
    this.beat();
  }

  /** Sends a probe for each way. */
  beat(): void {
    for (const lane of this.#lanes.values()) lane.beat();
  }

  /** Ways or their channels have changed. Moves each channel to its way. */
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
      void this.add(channel).catch(() => undefined); // reported; its caller waited for the first way
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
      canPublish: () => this.transport.isOpen,
      publish: (channel, payload) => this.transport.publish(channel, payload),
      silent: (suspects) => this.#rebuild(lane, suspects),
      failed: (error) => this.options.failed(error, 'subscribing'),
    });
    this.#lanes.set(way, lane);
    if (way.state === 'up') this.wayChanged(way, 'up');
  }

  #rebuild({ way, probeChannel }: Lane, suspects: Suspects): void {
    const what = suspects.way ? 'sends nothing any more' : "doesn't answer any more";
    this.options.failed(new Error(`Redis (${way.name}) ${what}: connecting again.`), 'a probe');
    if (suspects.outlet) this.transport.rebuildOutlet(probeChannel);
    if (suspects.way) way.rebuild();
  }

  #probeFor(way: Way): string | undefined {
    let left = MAX_PROBES;
    for (const channel of this.channels.probes(this.options.nodeId)) {
      if (this.transport.wayOf(channel) === way) return channel;
      if (--left === 0) break;
    }
    return undefined; // the table of slots isn't read yet
  }

  #noteWish(channel: string): void {
    if (!this.#wantedSince.has(channel)) this.#wantedSince.set(channel, this.options.clock.now());
  }

  #laneOf(channel: string): Lane | undefined {
    const way = this.transport.wayOf(channel);
    return way && this.#lanes.get(way);
  }
}

/** The metadata key of `@WsSubscribe()`, on the method. */
export const WS_SUBSCRIPTIONS = 'pxl:ws-subscriptions';

/**
 * A channel name, `'*'` for all, a pattern of channel names, or a function of channel and message. All but a name select among
 * the events that the node receives anyway: those of `WebSocketRedisSubscriberEvent`, and the channels that any subscriber
 * names.
 */
export type ChannelMatcher = string | RegExp | ((event: { channel: string; message: unknown }) => boolean);

export interface WsSubscribeOptions {
  /** Higher runs first. @default 0 */
  priority?: number;
  /** The server whose events are meant. @default that of `@WsGateway()`, or the server without a name */
  server?: string;
}

export interface WsSubscribeMetadata extends WsSubscribeOptions {
  matcher: ChannelMatcher;
}

/**
 * Calls the method with `{ channel, message, webSocketServer, … }` for every matching bus event, on every node: the option
 * `subscriberEventHandler` as a decorator. Naming a channel subscribes to it. An error of a method goes to `events.onError`,
 * and the next method still runs.
 */
export const WsSubscribe =
  (matcher: ChannelMatcher, options: WsSubscribeOptions = {}): MethodDecorator =>
  (_target, _key, descriptor) => {
    const method = descriptor.value as object;
    const known = (Reflect.getMetadata(WS_SUBSCRIPTIONS, method) as WsSubscribeMetadata[] | undefined) ?? [];
    Reflect.defineMetadata(WS_SUBSCRIPTIONS, [...known, { matcher, ...options }], method);
  };

/** The metadata key of `@WsSubscribe()`, on the method. */
export const WS_SUBSCRIPTIONS = 'pxl:ws-subscriptions';

/**
 * A channel name, `'*'` for all, a pattern of channel names, or a function of channel and message. Only a name subscribes to a
 * channel. The others select from the events that the node receives anyway: those of `WebSocketRedisSubscriberEvent`, and the
 * channels that any subscriber names.
 */
export type ChannelMatcher = string | RegExp | ((event: { channel: string; message: unknown }) => boolean);

/** The options of `@WsSubscribe()`. */
export interface WsSubscribeOptions {
  /** Methods with a higher priority run first. @default 0 */
  priority?: number;
  /** The name of the server whose events the method gets. @default the server of `@WsGateway()`, or the server without a name */
  server?: string;
}

export interface WsSubscribeMetadata extends WsSubscribeOptions {
  matcher: ChannelMatcher;
}

/**
 * The method is called with `{ channel, message, webSocketServer, … }` for every matching bus event, on every node, like the
 * option `subscriberEventHandler`. A channel name subscribes to that channel. An error of a method goes to `events.onError`, and
 * the next method still runs.
 */
export const WsSubscribe =
  (matcher: ChannelMatcher, options: WsSubscribeOptions = {}): MethodDecorator =>
  (_target, _key, descriptor) => {
    const method = descriptor.value as object;
    const known = (Reflect.getMetadata(WS_SUBSCRIPTIONS, method) as WsSubscribeMetadata[] | undefined) ?? [];
    Reflect.defineMetadata(WS_SUBSCRIPTIONS, [...known, { matcher, ...options }], method);
  };

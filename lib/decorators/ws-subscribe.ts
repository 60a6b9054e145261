/** Where `@WsSubscribe()` keeps its subscriptions, on the method. */
export const WS_SUBSCRIPTIONS = 'pxl:ws-subscriptions';

/**
 * A channel name, `'*'` for all, a pattern of channel names, or a test on channel and message. All but the first choose among
 * what is heard: the events of `WebSocketRedisSubscriberEvent`, and the channels that some subscriber names.
 */
export type ChannelMatcher = string | RegExp | ((event: { channel: string; message: unknown }) => boolean);

export interface WsSubscribeOptions {
  /** Higher runs first. @default 0 */
  priority?: number;
  /** The name of the server whose events are meant. @default that of `@WsGateway()`, or the server without a name */
  server?: string;
}

export interface WsSubscribeMetadata extends WsSubscribeOptions {
  matcher: ChannelMatcher;
}

/**
 * Calls the method with `{ channel, message, webSocketServer, … }` for every bus event that matches, on every node: the
 * decorator form of the option `subscriberEventHandler`. Naming a channel subscribes to it. A method that throws is
 * reported through `events.onError` and doesn't keep the next from running.
 */
export const WsSubscribe =
  (matcher: ChannelMatcher, options: WsSubscribeOptions = {}): MethodDecorator =>
  (_target, _key, descriptor) => {
    const method = descriptor.value as object;
    const known = (Reflect.getMetadata(WS_SUBSCRIPTIONS, method) as WsSubscribeMetadata[] | undefined) ?? [];
    Reflect.defineMetadata(WS_SUBSCRIPTIONS, [...known, { matcher, ...options }], method);
  };

import { Logger } from '@nestjs/common';
import { InvalidStateError, PeerError } from '../../errors.js';
import { describeError } from '../../routing/describe-error.js';
import type { Explored } from '../../routing/route.explorer.js';
import { RouteCall, type RoutePeer } from '../../routing/route-call.js';
import { Router } from '../../routing/router.js';
import { type NodeWebSocketClientOptions, WebSocketClient } from '../websocket-client.js';

/** The client of a Nest application: its handlers are the `@WsRoute()` methods that name it. */
export class NestWebSocketClient extends WebSocketClient {
  /** @param name undefined for the main client of `forRoot({ type: 'client' })` */
  constructor(
    options: NodeWebSocketClientOptions,
    private readonly name: string | undefined,
    private readonly explore: () => Explored,
  ) {
    super({ ...options, events: { onError: logError, ...options.events } });
  }

  /** @throws {InvalidRouteError} @throws {DuplicateRouteError} */
  protected override loadHandlers(): Promise<void> {
    const router = new Router({ side: 'client' });
    for (const { client, ...route } of this.explore().clientRoutes) {
      if (client !== this.name) continue;
      router.add(route);
      const { type, action } = route;
      this.on(type, action, async (data, { ws, clientId, id }) => {
        try {
          return await router.dispatch(new RouteCall(this.#peer(ws, clientId), type, action, data, id));
        } catch (error) {
          throw forServer(error);
        }
      });
    }
    return Promise.resolve();
  }

  #peer(ws: RoutePeer['ws'], clientId: string): RoutePeer {
    return {
      ws,
      clientId,
      client: this,
      answer: () => undefined,
      answerJson: () => undefined,
      emit: cannotStream,
      streamStarted: cannotStream,
      streamEnded: () => undefined,
    };
  }
}

const logger = new Logger('WebSocketClient');

const logError = ({ error }: { error: Error }): void => logger.error(error.message, error.stack);

/** The client core doesn't know Nest's exceptions, so one that is meant for the peer becomes a PeerError. */
function forServer(thrown: unknown): unknown {
  const { isMeantForPeer, code, error, details } = describeError(thrown);
  return isMeantForPeer ? new PeerError(code, error, details) : thrown;
}

function cannotStream(): never {
  throw new InvalidStateError('A handler of a client returned a stream, but a client answers once. Return a value.');
}

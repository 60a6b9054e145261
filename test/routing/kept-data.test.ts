import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { NEVER, type Observable } from 'rxjs';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { until } from '../support/until.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What the handlers were given; they themselves keep none of it. */
let given: WeakRef<object>[];
const note = (data: object): void => {
  given.push(new WeakRef(data));
};

class PassOn implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

class Allow implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

@Catch()
class Filter implements ExceptionFilter {
  catch(): string {
    return 'filtered';
  }
}

const forEver = (): Promise<never> => new Promise(() => undefined);

async function* nothing(): AsyncGenerator<never> {
  yield await forEver();
}

@WsGateway('bare')
class Bare {
  @WsRoute('handler')
  handler(_ws: unknown, _clientId: string, data: object): Promise<void> {
    note(data);
    return forEver();
  }

  @WsRoute('observable')
  observable(@MessageBody() data: object): Observable<never> {
    note(data);
    return NEVER;
  }

  @WsRoute('generator')
  generator(@MessageBody() data: object): AsyncIterable<never> {
    note(data);
    return nothing();
  }
}

@UseGuards(Allow)
@UseFilters(Filter)
@WsGateway('piped')
class Piped {
  @WsRoute('observable')
  observable(@MessageBody() data: object): Observable<never> {
    note(data);
    return NEVER;
  }

  @WsRoute('generator')
  generator(@MessageBody() data: object): AsyncIterable<never> {
    note(data);
    return nothing();
  }

  @UseInterceptors(PassOn)
  @WsRoute('intercepted-generator')
  interceptedGenerator(@MessageBody() data: object): AsyncIterable<never> {
    note(data);
    return nothing();
  }
}

@Injectable({ scope: Scope.REQUEST })
@WsGateway('scoped')
class Scoped {
  @WsRoute('handler')
  handler(@MessageBody() data: { n: number }): number {
    return data.n;
  }
}

let running: RunningApp;
let peer: Peer;
beforeAll(async () => {
  running = await startApp({ providers: [Bare, Piped, Scoped] });
});
beforeEach(async () => {
  given = [];
  peer = await running.connect();
});
afterAll(() => running.close());

describe('the data of a message', () => {
  it.each([
    'bare/handler',
    'bare/observable',
    'bare/generator',
    'piped/observable',
    'piped/generator',
    'piped/intercepted-generator',
  ])('is kept by nobody while a handler runs, or streams, that does not need it: %s', async (route) => {
    const [type, action] = route.split('/') as [string, string];
    peer.send(type, action, { some: 'data' }, 1);
    await until(() => given.length === 1);
    await peer.settle();
    await until(() => {
      collectGarbage();
      return given[0]?.deref() === undefined;
    });
    expect(peer.received).toEqual([]);
  });

  it('reaches a handler that is made for the message', async () => {
    expect((await peer.request('scoped', 'handler', { n: 7 })).response).toBe(7);
  });
});

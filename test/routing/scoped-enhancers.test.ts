import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  Scope,
  UseGuards,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, REQUEST } from '@nestjs/core';
import { map, type Observable } from 'rxjs';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';

interface Message {
  clientId: string;
  data: unknown;
  pattern: string;
}

/** What each guard that was made was asked about. */
let guards: unknown[][] = [];
let running: RunningApp | undefined;

beforeEach(() => {
  guards = [];
});
afterEach(async () => {
  await running?.close();
  running = undefined;
});

@Injectable({ scope: Scope.REQUEST })
class NotEve implements CanActivate {
  readonly #asked: unknown[] = [];

  constructor(@Inject(REQUEST) private readonly message: Message) {
    guards.push(this.#asked);
  }

  canActivate(context: ExecutionContext): boolean {
    this.#asked.push(this.message.pattern, context.switchToWs().getData());
    return this.message.data !== 'eve';
  }
}

@Injectable()
class PlainRoutes {
  @WsRoute('door', 'open')
  open(): string {
    return 'open';
  }
}

@WsGateway('door')
class GatewayRoutes {
  @WsRoute('open')
  open(): string {
    return 'open';
  }
}

@Controller()
class ControllerRoutes {
  @WsRoute('door', 'open')
  open(): string {
    return 'open';
  }
}

@Injectable({ scope: Scope.REQUEST })
class ScopedRoutes {
  @WsRoute('door', 'open')
  open(): string {
    return 'open';
  }
}

@Injectable()
@UseGuards(NotEve)
class GuardedRoutes {
  @WsRoute('door', 'open')
  open(): string {
    return 'open';
  }
}

const forAll = { provide: APP_GUARD, useClass: NotEve };

describe('a request-scoped guard', () => {
  it.each<[string, AppOptions]>([
    ['of the application, before a plain provider', { providers: [PlainRoutes, forAll] }],
    ['of the application, before a gateway', { providers: [GatewayRoutes, forAll] }],
    ['of the application, before a controller', { controllers: [ControllerRoutes], providers: [forAll] }],
    ['of the application, before a request-scoped provider', { providers: [ScopedRoutes, forAll] }],
    ['of a class', { providers: [GuardedRoutes] }],
  ])('%s is made anew for each message, and asked once', async (_place, app) => {
    running = await startApp(app);
    const peer = await running.connect();
    expect((await peer.request('door', 'open', 'eve')).data?.code).toBe('FORBIDDEN');
    expect((await peer.request('door', 'open', 'ann')).response).toBe('open');
    expect(guards).toEqual([
      ['door/open', 'eve'],
      ['door/open', 'ann'],
    ]);
  });

  it('of the application leaves a gateway what it is: one instance, with its hooks', async () => {
    @WsGateway('door')
    class Counting {
      #opened = 0;
      connected = 0;
      handleConnection(): void {
        this.connected++;
      }
      @WsRoute('open')
      open(): number[] {
        return [this.connected, ++this.#opened];
      }
    }
    running = await startApp({ providers: [Counting, forAll] });
    const peer = await running.connect();
    expect((await peer.request('door', 'open')).response).toEqual([1, 1]);
    expect((await peer.request('door', 'open')).response).toEqual([1, 2]);
  });
});

it('request-scoped pipes, interceptors and filters of the application run around the routes of a gateway', async () => {
  @Injectable({ scope: Scope.REQUEST })
  class Upper implements PipeTransform {
    transform(value: unknown): unknown {
      return typeof value === 'string' ? value.toUpperCase() : value;
    }
  }
  @Injectable({ scope: Scope.REQUEST })
  class Exclaim implements NestInterceptor {
    intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle().pipe(map((value) => `${String(value)}!`));
    }
  }
  @Catch(RangeError)
  @Injectable({ scope: Scope.REQUEST })
  class Teapot implements ExceptionFilter {
    catch(error: RangeError): string {
      return `teapot: ${error.message}`;
    }
  }
  @WsGateway('echo')
  class Echo {
    @WsRoute('say')
    say(_ws: unknown, _clientId: string, text: string): string {
      if (text === 'TEA') throw new RangeError('short and stout');
      return text;
    }
  }
  running = await startApp({
    providers: [
      Echo,
      { provide: APP_PIPE, useClass: Upper },
      { provide: APP_INTERCEPTOR, useClass: Exclaim },
      { provide: APP_FILTER, useClass: Teapot },
    ],
  });
  const peer = await running.connect();
  expect((await peer.request('echo', 'say', 'hi')).response).toBe('HI!');
  expect((await peer.request('echo', 'say', 'tea')).response).toBe('teapot: short and stout');
});

it('a transient guard of the application, which Nest would run nowhere, fails at start-up', async () => {
  const starting = startApp({
    providers: [PlainRoutes, { provide: APP_GUARD, useClass: NotEve, scope: Scope.TRANSIENT }],
  });
  await expect(starting).rejects.toThrow('APP_GUARD is transient (NotEve)');
});

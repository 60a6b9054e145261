import { describe, expect, it } from '@jest/globals';
import { type CanActivate, type ExecutionContext, Injectable, Scope, UseGuards } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AuthGuard, PassportModule, PassportStrategy } from '@nestjs/passport';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { defer, type Observable, of } from 'rxjs';
import { PxlWebSocketModule, PxlWsAdapter, SkipGlobalGuards, WsGateway, WsRoute } from '../../lib/index.js';
import { type AppOptions, startApp } from '../support/app.js';
import { ChildApp } from '../support/child.js';
import { useLoggedApp } from '../support/logged-app.js';
import { SECRET } from '../support/tokens.js';
import { until } from '../support/until.js';

@Injectable()
class JwtStrategy extends PassportStrategy(Strategy) {
  constructor() {
    super({ jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(), secretOrKey: SECRET });
  }

  validate(payload: object): object {
    return payload;
  }
}

@Injectable()
class Jwt extends AuthGuard('jwt') {}

class Refuse implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@WsGateway('guarded')
class Guarded {
  @WsRoute('ask')
  ask(): string {
    return 'answer';
  }

  @SkipGlobalGuards()
  @WsRoute('free')
  free(): string {
    return 'free';
  }
}

@SkipGlobalGuards()
@WsGateway('free')
class Free {
  @WsRoute('ask')
  ask(): string {
    return 'free';
  }

  @UseGuards(Refuse)
  @WsRoute('refused')
  refused(): void {}
}

@SkipGlobalGuards()
@WebSocketGateway({ destroyUpgradeTimeout: 10 })
class FreeStock {
  @SubscribeMessage('stock/ask')
  ask(): string {
    return 'free';
  }
}

/** Asks for an HTTP request and answers, whatever it gets: so does a ThrottlerGuard when the message has data. */
class Lenient implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<{ method?: string }>().method === undefined;
  }
}

const lenient = { imports: [], guard: { provide: APP_GUARD, useClass: Lenient } };
const passport = { imports: [PassportModule], guard: { provide: APP_GUARD, useClass: Jwt } };

describe('guards of the whole application that are made for HTTP', () => {
  const logged = useLoggedApp();

  const start = async (guard: { imports: unknown[]; guard: object }, more: AppOptions = {}): Promise<void> => {
    await logged.start({
      imports: guard.imports as NonNullable<AppOptions['imports']>,
      providers: [Guarded, Free, FreeStock, JwtStrategy, guard.guard as never],
      ...more,
    });
  };

  it('are named once, with what to do about them', async () => {
    await start(passport);
    const peer = await logged.running.connect();
    await peer.request('guarded', 'ask');
    await peer.request('guarded', 'ask');
    const [hint, ...more] = logged.log.of('warn [WebSocketServer]');
    expect(more).toEqual([]);
    expect(hint).toContain('Jwt, a global guard, is made for HTTP');
    expect(hint).toContain('(guarded/ask). It failed (');
    expect(hint).toContain('"routes: { globalGuards: false }"');
    expect(hint).toContain('@SkipGlobalGuards()');
  });

  it('are named when they have an answer for a socket, too: it means nothing', async () => {
    await start(lenient);
    const peer = await logged.running.connect();
    expect((await peer.request('guarded', 'ask')).response).toBe('answer');
    expect(logged.log.of('warn [WebSocketServer] Lenient, a global guard')).toHaveLength(1);
  });

  it('are named when they fail in an Observable', async () => {
    class Late implements CanActivate {
      canActivate(context: ExecutionContext): Observable<boolean> {
        return defer(() => of(context.switchToHttp().getRequest<{ headers: { ok: boolean } }>().headers.ok));
      }
    }
    await start({ imports: [], guard: { provide: APP_GUARD, useClass: Late } });
    const peer = await logged.running.connect();
    expect((await peer.request('guarded', 'ask', 1)).data.code).toBe('INTERNAL');
    expect(logged.log.of('warn [WebSocketServer] Late, a global guard')).toHaveLength(1);
  });

  it("are named, or left out: @nestjs/throttler's", async () => {
    const answers: unknown[] = [];
    const warnings: string[] = [];
    for (const scenario of ['throttled-routes', 'throttled-routes-left-out'] as const) {
      const child = await ChildApp.start(scenario);
      try {
        const peer = await child.connect();
        for (const data of [undefined, 1, {}]) answers.push((await peer.request('test', 'echo', data)).response);
      } finally {
        await child.stop();
      }
      warnings.push((await child.exited).stderr);
    }
    expect(answers.slice(3)).toEqual([null, 1, {}]);
    expect(answers[0]).toBeUndefined();
    expect(warnings[0]?.match(/ThrottlerGuard, a global guard, is made for HTTP/g)).toHaveLength(1);
    expect(warnings[1]).toBe('');
  });

  it("names passport's guard, though Nest gave it a random name", async () => {
    await start({ imports: [PassportModule], guard: { provide: APP_GUARD, useClass: AuthGuard('jwt') } });
    const peer = await logged.running.connect();
    expect((await peer.request('guarded', 'ask')).data.code).toBe('INTERNAL');
    expect(logged.log.of('AuthGuard (@nestjs/passport), a global guard')).toHaveLength(1);
  });

  it('are left out with routes: { globalGuards: false }', async () => {
    await start(passport, { options: { routes: { globalGuards: false } } });
    const peer = await logged.running.connect();
    expect((await peer.request('guarded', 'ask')).response).toBe('answer');
    expect((await peer.request('free', 'refused')).data.code).toBe('FORBIDDEN');
    expect(logged.running.errors).toEqual([]);
    expect(logged.log.of('warn')).toEqual([]);
  });

  it('are left out with @SkipGlobalGuards(), on a method, a class and a stock gateway', async () => {
    await start(passport, { configure: (app) => app.useWebSocketAdapter(new PxlWsAdapter(app)) });
    const peer = await logged.running.connect();
    expect((await peer.request('guarded', 'free')).response).toBe('free');
    expect((await peer.request('free', 'ask')).response).toBe('free');
    expect((await peer.request('stock', 'ask')).response).toBe('free');
    expect((await peer.request('free', 'refused')).data.code).toBe('FORBIDDEN');
    expect((await peer.request('guarded', 'ask')).data.code).toBe('INTERNAL');
  });

  it('are left out when they are request-scoped, too', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Scoped extends Refuse {}
    await start({ imports: [], guard: { provide: APP_GUARD, useClass: Scoped } });
    const peer = await logged.running.connect();
    expect((await peer.request('guarded', 'ask')).data.code).toBe('FORBIDDEN');
    expect((await peer.request('guarded', 'free')).response).toBe('free');
  });

  it('are left out around the handlers of an outbound client', async () => {
    class Handlers {
      @SkipGlobalGuards()
      @WsRoute('quiz', 'question', { client: 'quiz' })
      answer(): number {
        return 42;
      }
    }
    await start(passport);
    const player = await startApp({
      imports: [PassportModule, PxlWebSocketModule.forClient({ name: 'quiz', url: logged.running.url })],
      providers: [Handlers, JwtStrategy, passport.guard],
    });
    try {
      await until(() => logged.running.clients.getClients().length === 1);
      const [client] = logged.running.clients.getClients();
      expect(await client?.request('quiz', 'question')).toBe(42);
    } finally {
      await player.close();
    }
  });
});

describe('guards of the whole application that are made for WebSockets', () => {
  const logged = useLoggedApp();

  it.each<[string, (context: ExecutionContext) => ReturnType<CanActivate['canActivate']>]>([
    ['a boolean', (context) => context.switchToWs().getData<{ ok: boolean }>().ok],
    ['a promise', async (context) => context.switchToWs().getData<{ ok: boolean }>().ok],
    ['an Observable', (context) => of(context.switchToWs().getData<{ ok: boolean }>().ok)],
  ])('decide, without a word in the log, by %s', async (_name, canActivate) => {
    await logged.start({
      providers: [Guarded, { provide: APP_GUARD, useValue: { canActivate } }],
    });
    const peer = await logged.running.connect();
    expect((await peer.request('guarded', 'ask', { ok: true })).response).toBe('answer');
    expect((await peer.request('guarded', 'ask', { ok: false })).data.code).toBe('FORBIDDEN');
    expect(logged.log.of('warn')).toEqual([]);
  });
});

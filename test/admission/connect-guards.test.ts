import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  ForbiddenException,
  HttpException,
  Inject,
  Injectable,
  NotFoundException,
  type OnModuleInit,
  Scope,
  ServiceUnavailableException,
  UnauthorizedException,
} from '@nestjs/common';
import { BaseExceptionFilter, Reflector } from '@nestjs/core';
import { WsException } from '@nestjs/websockets';
import { EMPTY, NEVER, Observable, of } from 'rxjs';
import { type UpgradeRequest, WebSocketServer, WebSocketUpgrade, type WebSocketOptions } from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import { type HandshakeOptions, handshakeBytes, RawPeer } from '../support/raw-peer.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';

type Answer = ReturnType<CanActivate['canActivate']>;
type Connect = NonNullable<WebSocketOptions['connect']>;

const requestOf = (context: ExecutionContext): UpgradeRequest => context.switchToHttp().getRequest<UpgradeRequest>();

const guard = (canActivate: (context: ExecutionContext) => Answer): CanActivate => ({ canActivate });

@Injectable()
class Members {
  static made = 0;
  constructor() {
    Members.made++;
  }
  has(name: unknown): boolean {
    return name === 'ada';
  }
}

@Injectable()
class MemberGuard implements CanActivate, OnModuleInit {
  static made = 0;
  #isReady = false;
  constructor(@Inject(Members) private readonly members: Members) {
    MemberGuard.made++;
  }
  onModuleInit(): void {
    this.#isReady = true;
  }
  canActivate(context: ExecutionContext): boolean {
    return this.#isReady && this.members.has(requestOf(context).headers['x-name']);
  }
}

let running: RunningApp;
const peers: RawPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.reset();
  await running.close();
});

async function start(connect: Connect, options: WebSocketOptions = {}, more: AppOptions = {}): Promise<void> {
  running = await startApp({ ...more, options: { ...options, connect } });
}

interface Heard {
  status: number | undefined;
  headers: string;
  body: unknown;
}

async function ask(options: HandshakeOptions = {}): Promise<Heard> {
  const peer = await RawPeer.handshake(running.port, options);
  peers.push(peer);
  const { status, headers = '', body = '' } = peer.answer ?? {};
  if (status !== 101) await peer.closed;
  return { status, headers, body: headers.includes('application/json') ? JSON.parse(body) : body };
}

const bodyOf = async (options?: HandshakeOptions): Promise<unknown> => (await ask(options)).body;

describe('guards at the upgrade', () => {
  it('refuse with 403 and a JSON body before there is a socket', async () => {
    const connected: string[] = [];
    await start(
      { guards: [MemberGuard] },
      { events: { onConnected: ({ clientId }) => connected.push(clientId) } },
      { providers: [Members, MemberGuard] },
    );
    const { status, headers, body } = await ask({ headers: { 'X-Name': 'eve' } });
    expect(status).toBe(403);
    expect(headers).toContain('Connection: close');
    expect(body).toEqual({ code: 'FORBIDDEN', error: 'Forbidden resource' });
    expect(connected).toEqual([]);
    await running.connect({ headers: { 'x-name': 'ada' } });
    expect(connected).toHaveLength(1);
    expect(running.errors).toEqual([]);
  });

  it('are the instances that the application provides, initialised as it does', async () => {
    MemberGuard.made = 0;
    await start({ guards: [MemberGuard] }, {}, { providers: [Members, MemberGuard] });
    await running.connect({ headers: { 'x-name': 'ada' } });
    expect(MemberGuard.made).toBe(1);
  });

  it('are made once and initialised when nobody provides them', async () => {
    @Injectable()
    class Own implements CanActivate, OnModuleInit {
      static made = 0;
      #isReady = false;
      constructor(@Inject(Reflector) private readonly reflector: Reflector) {
        Own.made++;
      }
      async onModuleInit(): Promise<void> {
        this.#isReady = this.reflector instanceof Reflector;
      }
      canActivate(): boolean {
        return this.#isReady;
      }
    }
    await start({ guards: [Own] });
    for (let i = 0; i < 3; i++) await running.connect();
    expect(Own.made).toBe(1);
  });

  it.each<[string, number, string, string, () => Answer]>([
    [
      'an UnauthorizedException',
      401,
      'UNAUTHENTICATED',
      'Who are you?',
      fails(new UnauthorizedException('Who are you?')),
    ],
    ['a ForbiddenException', 403, 'FORBIDDEN', 'No.', async () => fails(new ForbiddenException('No.'))()],
    ['an HttpException of 402', 402, 'BAD_REQUEST', 'Pay.', fails(new HttpException('Pay.', 402))],
    [
      'an exception with a code',
      409,
      'TAKEN',
      'Taken.',
      fails(new HttpException({ code: 'TAKEN', message: 'Taken.' }, 409)),
    ],
    ['an outage', 503, 'UNAVAILABLE', 'Later.', fails(new ServiceUnavailableException('Later.'))],
    [
      'a WsException',
      401,
      'UNAUTHENTICATED',
      'Who?',
      fails(new WsException({ code: 'UNAUTHENTICATED', message: 'Who?' })),
    ],
    ['a WsException without a code', 400, 'BAD_REQUEST', 'Odd.', fails(new WsException('Odd.'))],
    ['a status that opens a connection', 500, 'BAD_REQUEST', 'Odd.', fails(new HttpException('Odd.', 101))],
    ['a promise of false', 403, 'FORBIDDEN', 'Forbidden resource', async () => false],
    ['an Observable whose last value is false', 403, 'FORBIDDEN', 'Forbidden resource', () => of(true, false)],
    ['an Observable without a value', 403, 'FORBIDDEN', 'Forbidden resource', () => EMPTY],
  ])('answer as they say: %s', async (_, status, code, error, canActivate) => {
    await start({ guards: [guard(canActivate)] });
    expect(await ask()).toMatchObject({
      status,
      body: { code, error },
      headers: expect.stringContaining('Connection: close'),
    });
    expect(running.errors).toEqual([]);
  });

  it('let pass with true, a promise of it, or an Observable that ends with it', async () => {
    await start({ guards: [guard(() => true), guard(async () => true), guard(() => of(false, true))] });
    expect((await ask()).status).toBe(101);
  });

  it('answer anything else thrown with 500 and no text, reported once', async () => {
    await start({ guards: [guard(fails(new Error('SECRET')))] });
    expect(await ask()).toMatchObject({
      status: 500,
      body: { code: 'INTERNAL', error: expect.not.stringContaining('SECRET') },
    });
    expect(running.errors.map(({ message }) => message)).toEqual(['SECRET']);
  });

  it('report no token', async () => {
    await start({
      guards: [
        guard((context) => {
          throw new Error(`bad: ${requestOf(context).url}`);
        }),
      ],
    });
    await ask({ path: '/ws?token=SECRET' });
    expect(running.errors.map(({ message }) => message)).toEqual(['bad: /ws?token=[redacted]']);
  });

  it('are asked in order, and none after one that refuses', async () => {
    const asked: string[] = [];
    const says = (name: string, answer: boolean): CanActivate => guard(async () => asked.push(name) > 0 && answer);
    await start({ guards: [says('first', true), says('second', false), says('third', true)] });
    expect((await ask()).status).toBe(403);
    expect(asked).toEqual(['first', 'second']);
  });

  it('have a time limit: 503, and an Observable is unsubscribed', async () => {
    let unsubscribed!: () => void;
    const whenUnsubscribed = new Promise<void>((resolve) => (unsubscribed = resolve));
    await start({ guards: [guard(() => new Observable<boolean>(() => unsubscribed))], timeoutMs: 50 });
    expect(await ask()).toMatchObject({
      status: 503,
      body: { code: 'UNAVAILABLE' },
      headers: expect.stringContaining('Retry-After: 5'),
    });
    await whenUnsubscribed;
  });

  it('R2: a reset while a guard decides leaves the process running, and asks no further guard', async () => {
    const errors: unknown[] = [];
    const note = (error: unknown): unknown => errors.push(error);
    process.on('unhandledRejection', note).on('uncaughtException', note);
    const began: (() => void)[] = [];
    const begins = (): Promise<void> => new Promise((resolve) => began.push(resolve));
    const decisions: (() => void)[] = [];
    let further = 0;
    await start({
      guards: [
        guard((context) => {
          if (requestOf(context).headers['x-slow'] === undefined) return true;
          return new Promise<boolean>((resolve, reject) => {
            decisions.push(() => (decisions.length % 2 ? resolve(true) : reject(new Error('late'))));
            began.shift()?.();
          });
        }),
        guard((context) => {
          if (requestOf(context).headers['x-slow'] !== undefined) further++;
          return true;
        }),
      ],
    });
    for (let i = 0; i < 10; i++) {
      const begun = begins();
      const peer = await RawPeer.connect(running.port);
      peer.write(handshakeBytes(running.port, { headers: { 'X-Slow': '1' } }));
      await begun;
      if (i % 2) peer.reset();
      else peer.socket.end();
      await peer.closed;
    }
    for (const decide of decisions) decide();
    await (await running.connect()).settle();
    expect(running.clients.size).toBe(1);
    expect(further).toBe(0);
    expect(errors).toEqual([]);
    process.off('unhandledRejection', note).off('uncaughtException', note);
  });

  it('are answered with 503 when the server stops before they have decided', async () => {
    let began!: () => void;
    const begun = new Promise<void>((resolve) => (began = resolve));
    await start({
      guards: [
        guard(() => {
          began();
          return NEVER;
        }),
      ],
    });
    const asking = ask();
    await begun;
    await running.server.stop();
    expect((await asking).status).toBe(503);
  });

  it('run after the checks of origin, capacity and authentication', async () => {
    let asked = 0;
    await start({ guards: [guard(() => ++asked > 0)] }, { auth: { authenticate: () => null } });
    expect((await ask()).status).toBe(401);
    expect((await ask({ headers: { Origin: 'https://evil.example' } })).status).toBe(403);
    expect(asked).toBe(0);
  });
});

describe('the execution context of a guard', () => {
  it('is one of HTTP, with a class and a handler for the Reflector', async () => {
    const roles = Reflector.createDecorator<string[]>();
    const seen: unknown[] = [];
    await start({
      guards: [
        guard((context) => {
          const targets = [context.getHandler(), context.getClass()];
          seen.push(context.getType(), new Reflector().getAllAndOverride(roles, targets));
          seen.push(context.getClass() === WebSocketUpgrade, context.getHandler().name);
          seen.push(
            context.getArgs()[0] === requestOf(context),
            context.getArgByIndex(1) === context.switchToHttp().getResponse(),
          );
          context.switchToHttp().getNext<() => void>()();
          return true;
        }),
      ],
    });
    expect((await ask()).status).toBe(101);
    expect(seen).toEqual(['http', undefined, true, 'connect', true, true]);
  });

  it('has no socket: a guard that asks for one is answered with 500 and reported', async () => {
    await start({ guards: [guard((context) => Boolean(context.switchToWs().getClient()))] });
    expect((await ask()).status).toBe(500);
    expect(running.errors[0]?.message).toContain('Use switchToHttp()');
  });

  it('shows the parameters of the path, the address and the user', async () => {
    const seen: unknown[] = [];
    await start(
      {
        guards: [
          guard((context) => {
            const { params, ip, user } = requestOf(context);
            seen.push({ params, ip, user });
            return true;
          }),
        ],
      },
      { path: '/ws/:tenant', auth: { jwt: { secret: SECRET } }, trustProxy: 1 },
    );
    const { headers } = bearer(await tokenFor('7f3e', { roles: ['admin'], exp: 4_102_444_800 }));
    await running.connectTo(`ws://127.0.0.1:${running.port}/ws/acme`, {
      headers: { ...headers, 'x-forwarded-for': '203.0.113.9' },
    });
    const payload = { sub: '7f3e', roles: ['admin'], exp: 4_102_444_800 };
    expect(seen).toEqual([
      { params: { tenant: 'acme' }, ip: '203.0.113.9', user: { ...payload, userId: '7f3e', payload } },
    ]);
  });
});

describe('exception filters at the upgrade', () => {
  const refusing = guard(fails(new UnauthorizedException('Who are you?')));

  it.each<[string, (response: Response, error: HttpException) => unknown]>([
    [
      'Express',
      (response, error) => response.status(error.getStatus()).set('X-Why', 'because').json({ oops: error.message }),
    ],
    [
      'Fastify',
      (response, error) => response.code(error.getStatus()).header('X-Why', 'because').send({ oops: error.message }),
    ],
    [
      'Node',
      (response, error) => {
        response.statusCode = 401;
        response.setHeader('X-Why', 'because');
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ oops: error.message }));
      },
    ],
    ['neither status nor type', (response, error) => response.header('X-Why', 'because').json({ oops: error.message })],
  ])('answer as with %s', async (_, answer) => {
    @Catch(HttpException)
    class Filter implements ExceptionFilter {
      async catch(error: HttpException, host: ArgumentsHost): Promise<void> {
        await nextTurn();
        answer(host.switchToHttp().getResponse(), error);
      }
    }
    await start({ guards: [refusing], filters: [Filter] });
    const { status, headers, body } = await ask();
    expect({ status, body }).toEqual({ status: 401, body: { oops: 'Who are you?' } });
    expect(headers).toContain('X-Why: because');
    expect(headers.match(/content-type/gi)).toHaveLength(1);
  });

  it.each(['express', 'fastify'] as const)("may be Nest's own BaseExceptionFilter (%s)", async (platform) => {
    @Catch()
    class Everything extends BaseExceptionFilter {}
    await start({ guards: [refusing], filters: [Everything] }, {}, { platform });
    expect(await ask()).toMatchObject({ status: 401, body: { statusCode: 401, message: 'Who are you?' } });
  });

  it('are chosen by @Catch(), the first that fits; an error that none catches gets the usual answer', async () => {
    const caught: string[] = [];
    const filterOf = (name: string, ...types: (typeof HttpException)[]): ExceptionFilter => {
      @Catch(...types)
      class Filter implements ExceptionFilter {
        catch(_: unknown, host: ArgumentsHost): void {
          caught.push(name);
          host.switchToHttp().getResponse().send(name);
        }
      }
      return new Filter();
    };
    const errors = [new UnauthorizedException(), new NotFoundException('Gone.')];
    await start({
      guards: [guard(() => fails(errors.shift() as Error)())],
      filters: [
        filterOf('forbidden', ForbiddenException as never),
        filterOf('unauthorized', UnauthorizedException as never),
        filterOf('second', UnauthorizedException as never),
      ],
    });
    expect(await ask()).toMatchObject({ status: 401, body: 'unauthorized' });
    expect(await ask()).toMatchObject({ status: 404, body: { code: 'NOT_FOUND', error: 'Gone.' } });
    expect(caught).toEqual(['unauthorized']);
  });

  it('may throw another exception, or leave the answer to the module', async () => {
    @Catch(UnauthorizedException)
    class Hide implements ExceptionFilter {
      catch(): never {
        throw new NotFoundException('There is nothing here.');
      }
    }
    @Catch()
    class Log implements ExceptionFilter {
      catch(): void {}
    }
    const errors = [new UnauthorizedException(), new Error('SECRET')];
    await start({ guards: [guard(() => fails(errors.shift() as Error)())], filters: [Hide, Log] });
    expect(await ask()).toMatchObject({ status: 404, body: { code: 'NOT_FOUND', error: 'There is nothing here.' } });
    expect(await ask()).toMatchObject({ status: 500, body: { code: 'INTERNAL' } });
    expect(running.errors).toHaveLength(1);
  });

  it('cannot accept a connection, and cannot write invalid headers', async () => {
    const writes: ((response: Response) => unknown)[] = [
      (response) => response.status(101).send('come in'),
      (response) => response.status(200).json({ ok: true }),
      (response) => response.header('X-Bad', 'a\r\nSet-Cookie: b=1').send('no'),
      (response) =>
        response.status(403).header('Content-Length', '1').header('Set-Cookie', ['a=1', 'b=2']).send('whole'),
    ];
    @Catch()
    class Filter implements ExceptionFilter {
      catch(_: unknown, host: ArgumentsHost): void {
        writes.shift()?.(host.switchToHttp().getResponse());
      }
    }
    await start({ guards: [guard(() => false)], filters: [Filter] });
    expect(await ask()).toMatchObject({ status: 403, body: 'come in' });
    expect(await ask()).toMatchObject({ status: 403, body: { ok: true } });
    const split = await ask(); // the filter failed: the refusal is answered without it
    expect(split.status).toBe(403);
    expect(split.headers).not.toContain('Set-Cookie');
    const whole = await ask();
    expect(whole).toMatchObject({ status: 403, body: 'whole' });
    expect(whole.headers).toMatch(/Set-Cookie: a=1\r\nSet-Cookie: b=2/);
    expect(whole.headers.match(/content-length/gi)).toHaveLength(1);
  });
});

describe('guards that were written for HTTP', () => {
  it('may send a WWW-Authenticate header of their own', async () => {
    await start({
      guards: [
        guard((context) => {
          context.switchToHttp().getResponse().setHeader('www-authenticate', 'Basic realm="x"');
          throw new UnauthorizedException();
        }),
      ],
    });
    const { headers } = await ask();
    expect(headers.match(/^www-authenticate: .*$/gim)).toEqual(['www-authenticate: Basic realm="x"']);
  });

  it('make a Retry-After header of details.retryAfterMs', async () => {
    const error = new HttpException({ message: 'Slow down.', details: { retryAfterMs: 1_500 } }, 429);
    await start({ guards: [guard(fails(error))] });
    expect((await ask()).headers).toContain('Retry-After: 2');
  });

  it('may send a whole answer of their own', async () => {
    await start({
      guards: [
        guard((context) => {
          context.switchToHttp().getResponse().status(402).json({ pay: true });
          return false;
        }),
      ],
    });
    expect(await ask()).toMatchObject({ status: 402, body: { pay: true } });
  });
});

describe('R6: the user that a guard sets', () => {
  const sets = (user: unknown): CanActivate =>
    guard((context) => {
      requestOf(context).user = user;
      return true;
    });

  it.each<[string, object, object]>([
    ['a user', { userId: 42, payload: { role: 'admin' } }, { userId: 42, payload: { role: 'admin' } }],
    [
      "Passport's usual user",
      { userId: '7f3e', username: 'ada' },
      { userId: '7f3e', payload: { userId: '7f3e', username: 'ada' } },
    ],
    ["a token's claims", { sub: '7f3e', name: 'Ada' }, { userId: '7f3e', payload: { sub: '7f3e', name: 'Ada' } }],
  ])('is %s that it leaves as request.user', async (_, user, expected) => {
    const seen: unknown[] = [];
    await start(
      { guards: [sets(user)] },
      { events: { onConnected: ({ request }) => seen.push(request?.user?.userId) } },
    );
    const peer = await running.connect();
    expect(running.clients.getClient(peer)?.user).toEqual(expected);
    expect(peer.connected.data.user).toEqual({ userId: (expected as { userId: unknown }).userId });
    expect(seen).toEqual([(expected as { userId: unknown }).userId]);
    await peer.join('room', { userId: 'somebody else' });
    expect(running.clients.getClient(peer)?.user).toEqual(expected);
  });

  it.each([undefined, null, false])('is nobody when it leaves %p', async (user) => {
    await start({ guards: [sets(user)] });
    const peer = await running.connect();
    expect(running.clients.getClient(peer)?.user).toBeNull();
  });

  it.each([{ id: 7 }, {}, 'ada', { userId: '' }, { userId: { $ne: 1 } }, { userId: Number.NaN }])(
    'is an error of the application when nobody can tell whom it means: %p',
    async (user) => {
      await start({ guards: [sets(user)] });
      expect((await ask()).status).toBe(500);
      expect(running.errors).toHaveLength(1);
      expect(running.clients.size).toBe(0);
    },
  );

  it('ends with the token: 4200 at exp, 401 after it', async () => {
    await start({
      guards: [
        guard((context) => {
          requestOf(context).user = {
            sub: 'ada',
            exp: Date.now() / 1_000 + Number(requestOf(context).headers['x-life']),
          };
          return true;
        }),
      ],
    });
    expect((await ask({ headers: { 'X-Life': '-1' } })).status).toBe(401);
    const peer = await running.connect({ headers: { 'x-life': '1' } });
    expect((await peer.closed).code).toBe(4200);
  });

  it('with an expiresAt of null ends with its token only', async () => {
    await start({
      guards: [
        guard((context) => {
          const request = requestOf(context);
          const life = Number(request.headers['x-life']);
          request.user = { userId: 'ada', expiresAt: null, exp: life ? Date.now() / 1_000 + life : null };
          return true;
        }),
      ],
    });
    const [endless, ending] = await Promise.all([running.connect(), running.connect({ headers: { 'x-life': '1' } })]);
    expect((await ending.closed).code).toBe(4200);
    await endless.settle();
  });

  it('is ignored where authentication is configured', async () => {
    const seen: unknown[] = [];
    await start(
      { guards: [sets({ userId: 'root', payload: { role: 'admin' } })] },
      {
        auth: { jwt: { secret: SECRET }, required: false },
        events: { onConnected: ({ request }) => seen.push(request?.user) },
      },
    );
    const known = await running.connect(bearer(await tokenFor('ada')));
    expect(running.clients.getClient(known)?.user?.userId).toBe('ada');
    const unknown = await running.connect();
    expect(running.clients.getClient(unknown)?.user).toBeNull();
    expect(seen).toEqual([expect.objectContaining({ userId: 'ada' }), undefined]);
  });

  /** Whoever names itself in a header; others come in as nobody. */
  const byHeader = guard((context) => {
    const name = requestOf(context).headers['x-name'];
    if (name !== undefined) requestOf(context).user = { userId: name };
    return true;
  });

  it('can not be claimed by a client: an anonymous one stays anonymous, and none gets a userType', async () => {
    await start({ guards: [byHeader] }, { users: { load: () => ({ userType: 'admin' }) } });
    const [ada, anonymous] = await Promise.all([running.connect({ headers: { 'x-name': 'ada' } }), running.connect()]);
    const claims = { userId: 'ada', userType: 'admin', username: 'Al' };
    expect((await anonymous.join('lobby', claims)).response.data).toEqual({ roomName: 'lobby', username: 'Al' });
    expect((await ada.join('lobby', { userType: 'admin' })).response.data).toEqual({
      roomName: 'lobby',
      userId: 'ada',
    });
    expect(running.clients.getClient(anonymous)?.user).toBeNull();
    expect(running.clients.getClients({ userType: 'admin' })).toEqual([]);
    running.server.broadcastToUsers({ userIds: ['ada'], data: { type: 'for', action: 'ada' } });
    await Promise.all([anonymous.settle(), ada.next('for', 'ada')]);
    expect(anonymous.received).toEqual([]);
  });

  it('counts towards limits.connectionsPerUser; a userId given with a join does not', async () => {
    await start({ guards: [byHeader] }, { limits: { connectionsPerUser: 1 } });
    const anonymous = await running.connect();
    await anonymous.join('lobby', { userId: 'ada' });
    await running.server.joinRoom({ clientId: anonymous.clientId, roomName: 'lobby', userId: 'ada' });
    expect(running.clients.getUserClients({ userId: 'ada' })).toHaveLength(1);
    await running.connect({ headers: { 'x-name': 'ada' } });
    expect(await bodyOf({ headers: { 'X-Name': 'ada' } })).toMatchObject({ code: 'CONNECTION_LIMIT' });
  });

  it('leaves no token in the URL that hooks see', async () => {
    const urls: unknown[] = [];
    await start({ guards: [guard(() => true)] }, { events: { onConnected: ({ request }) => urls.push(request?.url) } });
    await running.connectTo(`${running.url}?token=SECRET`);
    expect(urls).toEqual(['/ws?token=[redacted]']);
  });
});

describe('guards that cannot work', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Scoped implements CanActivate {
    canActivate(): boolean {
      return true;
    }
  }

  it.each<[string, Connect, AppOptions, string]>([
    [
      'a class without what it needs',
      { guards: [MemberGuard] },
      {},
      '"connect.guards" names MemberGuard, which can\'t be created here',
    ],
    ['a request-scoped class', { guards: [Scoped] }, { providers: [Scoped] }, 'which is request-scoped'],
    [
      'no guard',
      { guards: [Members as never] },
      { providers: [Members] },
      '"connect.guards" names Members, which has no method canActivate()',
    ],
    ['no filter', { guards: [guard(() => true)], filters: [{} as never] }, {}, 'which has no method catch()'],
    [
      'filters without guards',
      { filters: [BaseExceptionFilter] },
      {},
      '"connect.filters" are for errors of guards, and there are no guards',
    ],
    ['a text', { guards: ['jwt' as never] }, {}, '"connect.guards" must be a list of guards'],
    ['no time', { guards: [], timeoutMs: 0 }, {}, '"connect.timeoutMs" must be'],
  ])('end the start, with the remedy: %s', async (_, connect, more, message) => {
    await expect(start(connect, {}, more)).rejects.toThrow(message);
    running = await startApp();
  });

  it('are classes on a server without Nest, where only instances work', async () => {
    running = await startApp();
    const server = new WebSocketServer({ connect: { guards: [MemberGuard] } });
    await expect(server.load()).rejects.toThrow('only a Nest application can create: give an instance');
    await expect(server.start({ httpServer: running.app.getHttpServer() as never })).rejects.toThrow('load()');
    const byHand = new WebSocketServer({ path: '/by-hand', connect: { guards: [guard(() => false)] } });
    await byHand.load();
    await byHand.start({ httpServer: running.app.getHttpServer() as never });
    expect((await ask({ path: '/by-hand' })).status).toBe(403);
    await byHand.stop();
  });
});

// oxlint-disable-next-line typescript/no-explicit-any -- a response, as a filter of either platform sees it
type Response = any;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function fails(error: Error): () => never {
  return () => {
    throw error;
  };
}

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Catch, type INestApplication, Logger, UseFilters } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { WsException } from '@nestjs/websockets';
import { concat, NEVER, Observable, of } from 'rxjs';
import type { WebSocket } from 'ws';
import {
  PeerError,
  type ServerStatus,
  type UpgradeRequest,
  WsGateway,
  WsRoute,
  type WebSocketOptions,
} from '../../lib/index.js';
import { startApp } from './app.js';
import { SECRET } from './tokens.js';

export type ChildQuestion = 'stats' | 'collect' | 'close' | 'leave';

export interface Stats {
  clients: number;
  rooms: number;
  errors: string[];
  /** Requests whose authentication began, and of these those that memory still holds. */
  authenticating: number;
  held: number;
  heapUsed: number;
  /** Bytes of buffers, which are not part of the heap. */
  buffers: number;
  produced: number;
  backpressure: ServerStatus['backpressure'];
  resources: Record<string, number>;
}

export interface ChildAnswer {
  port: number;
  stats?: Stats;
}

let running: Awaited<ReturnType<typeof startApp>>;
let authenticating = 0;
const requests: WeakRef<object>[] = [];
const KILOBYTE = 'x'.repeat(1_000);
/** Values that endless streams were asked for. */
let produced = 0;
const leaked: unknown[] = [];

@Catch(TypeError, WsException)
class Unanswering {
  catch(): void {}
}

async function silentServer(): Promise<string> {
  if (process.argv[2] !== 'slow-keys') return 'http://127.0.0.1';
  const server = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
}

const scenarios = {
  plain: {},
  compressed: { messages: { perMessageDeflate: true } },
  'strict-limits': { messages: { maxPayload: 4_096, handlerTimeoutMs: 500 } },
  'strict-limits-compressed': {
    messages: { maxPayload: 4_096, handlerTimeoutMs: 500, perMessageDeflate: { threshold: 0 } },
  },
  // Its connections aren't closed by their bad frames: all that is generated is looked at.
  generated: { messages: { maxBadFrames: 1_000_000, handlerTimeoutMs: 500 } },
  'generated-compressed': { messages: { maxBadFrames: 1_000_000, handlerTimeoutMs: 500, perMessageDeflate: true } },
  leaky: { messages: { maxBadFrames: 1_000_000 }, events: { onMessage: (message) => void leaked.push(message) } },
  'short-headers-timeout': {},
  'fast-pings': { heartbeat: { pingIntervalMs: 300, pongTimeoutMs: 10_000 } },
  'fast-pings-compressed': {
    heartbeat: { pingIntervalMs: 300, pongTimeoutMs: 10_000 },
    messages: { perMessageDeflate: { threshold: 0 } },
  },
  'slow-auth': {
    auth: {
      timeoutMs: 60_000,
      // Holds nothing of the request itself: what is held afterwards is held by the library.
      authenticate: (request) => {
        authenticating++;
        requests.push(new WeakRef(request));
        return new Promise((resolve) => {
          if (request.headers.authorization) setTimeout(() => resolve({ userId: 'somebody', payload: {} }), 50);
        });
      },
    },
  },
  'endless-hooks': {},
  throttled: { trustProxy: 1 },
  'throttled-routes': {},
  'throttled-routes-left-out': { routes: { globalGuards: false } },
  'failing-callbacks': {
    events: {
      onConnected: () => undefined,
      onDisconnected: async () => Promise.reject(new Error('onDisconnected')),
      onMessage: async () => Promise.reject(new Error('onMessage')),
    },
  },
  'failing-on-error': {
    events: {
      onMessage: () => {
        throw new Error('onMessage');
      },
      onError: async () => Promise.reject(new Error('onError')),
    },
  },
  'first-message': {
    auth: { jwt: { secret: SECRET }, tokenFrom: ['header', 'message'] },
    messages: { maxPayload: 4_096 },
  },
  // Its key server never answers, so a token is checked for three seconds.
  'slow-keys': { limits: {}, auth: { jwt: { jwksUri: await silentServer() }, tokenFrom: ['message'] } },
  // What is thrown before there is a socket, with a filter that looks at it.
  'odd-handshake': {
    auth: {
      required: false,
      authenticate: ({ url }) => {
        throwOdd(queryOf(url).get('auth'));
        return null;
      },
    },
    connect: {
      guards: [
        {
          canActivate: (context) => {
            throwOdd(queryOf(context.switchToHttp().getRequest<UpgradeRequest>().url).get('guard'));
            return true;
          },
        },
      ],
      filters: [Unanswering],
    },
  },
  // Whatever fails is written to the log.
  'no-on-error': { events: { onError: undefined } },
  // Each fails with what the query or the message names.
  'odd-callbacks': {
    events: {
      onConnected: ({ request }) => throwOdd(queryOf(request?.url).get('what')),
      onMessage: ({ data }) => throwOdd((data.data as { what?: string } | undefined)?.what),
      onDisconnected: ({ reason }) => throwOdd(reason),
      onError: ({ error }) => {
        running.errors.push(error);
        throwOdd('revoked');
      },
    },
  },
} satisfies Record<string, WebSocketOptions>;

export type Scenario = keyof typeof scenarios;

const scenario = process.argv[2] as Scenario;

/** What a `throw` can be that isn't an Error with a text. */
const ODD_THROWS: Record<string, () => unknown> = {
  error: () => new Error('secret text'),
  null: () => null,
  undefined: () => undefined,
  text: () => 'secret text',
  symbol: () => Symbol('secret text'),
  bare: () => Object.create(null) as unknown,
  'ws-null': () => new WsException(null as never),
  'http-null': () =>
    Object.assign(new Error('secret text'), { getStatus: () => 400, getResponse: () => null }) as unknown,
  'http-broken': () =>
    Object.assign(new Error('secret text'), {
      getStatus: () => {
        throw new Error('secret text');
      },
      getResponse: () => null,
    }) as unknown,
  cyclic: () => {
    const details: Record<string, unknown> = {};
    details['self'] = details;
    return new WsException({ message: 'Odd.', code: 'ODD', details });
  },
  revoked,
  'no-prototype': () =>
    new Proxy(
      {},
      {
        getPrototypeOf: () => {
          throw new Error('secret text');
        },
      },
    ),
  'message-getter': () => Object.defineProperty(new Error('secret text'), 'message', { get: boom }),
  'stack-getter': () => Object.defineProperty(new Error('secret text'), 'stack', { get: boom }),
  'symbol-message': () => Object.assign(new Error('secret text'), { message: Symbol('secret text') }),
  'peer-symbol': () => Object.assign(new PeerError('ODD', 'Odd.'), { message: Symbol('secret text') }),
  'peer-code': () => new PeerError('constructor', 'Odd.'),
};

function boom(): never {
  throw new Error('secret text');
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const queryOf = (url = ''): URLSearchParams => new URL(url, 'ws://here').searchParams;

/** Nothing for a name that isn't there. */
function throwOdd(what: string | null | undefined): void {
  const odd = ODD_THROWS[what ?? ''];
  if (odd) throw odd();
}

@WsGateway('test')
class TestGateway {
  @WsRoute('echo')
  echo(_ws: WebSocket, _clientId: string, data: unknown) {
    return data;
  }

  @WsRoute('throw')
  async throw(_ws: WebSocket, _clientId: string, data: { what: string; isLate?: boolean }) {
    if (data.isLate) await pause(1);
    throw ODD_THROWS[data.what]?.();
  }

  /** The same with a filter around it, which looks at what was thrown. */
  @UseFilters(Unanswering)
  @WsRoute('throw-by-filter')
  throwByFilter(ws: WebSocket, clientId: string, data: { what: string; isLate?: boolean }) {
    return this.throw(ws, clientId, data);
  }

  /** As its handler's own promise, from the interceptors' Observable, or as a value of a stream. */
  @WsRoute('return-odd')
  returnOdd(_ws: WebSocket, _clientId: string, data: { how: string }) {
    if (data.how === 'value') return revoked();
    if (data.how === 'once') return of(revoked());
    if (data.how === 'stream') return concat(of(1), of(revoked()));
    // oxlint-disable-next-line unicorn/no-thenable -- as query builders have it
    return { then: (resolve: (value: unknown) => void) => void setTimeout(() => resolve(revoked()), 1) };
  }

  /** Its own end throws: an application's bug that any peer can reach by leaving. */
  @WsRoute('brittle-stream')
  brittle() {
    return new Observable<number>((subscriber) => {
      subscriber.next(1);
      return () => {
        throw new Error('teardown');
      };
    });
  }

  /** To everybody, as many numbered kilobytes as are asked for. */
  @WsRoute('shout')
  shout(_ws: WebSocket, _clientId: string, { from, count: many }: { from: number; count: number }) {
    for (let n = from; n < from + many; n++) {
      running.server.broadcastToAllClients({ data: { type: 'news', action: 'flash', data: { n, text: KILOBYTE } } });
    }
  }

  @WsRoute('endless')
  async *endless() {
    for (;;) yield (produced++, KILOBYTE);
  }

  @WsRoute('stream')
  stream() {
    return NEVER;
  }

  @WsRoute('never')
  never() {
    return new Promise(() => undefined);
  }

  handleDisconnect() {
    return scenario === 'endless-hooks' ? new Promise(() => undefined) : undefined;
  }
}

const count = (names: string[]): Record<string, number> =>
  names.reduce<Record<string, number>>((counts, name) => ({ ...counts, [name]: (counts[name] ?? 0) + 1 }), {});

const answers: Record<ChildQuestion, () => Promise<void> | void> = {
  stats: () => undefined,
  async collect() {
    // WeakRefs hold their target until the end of the turn that made or read them.
    await pause(10);
    globalThis.gc?.();
    await pause(10);
    globalThis.gc?.();
  },
  close: () => running.app.close(),
  leave: () => running.app.close(),
};

function stats(): Stats {
  return {
    clients: running.clients.size,
    rooms: running.rooms.rooms.size,
    errors: running.errors.map(String),
    authenticating,
    heapUsed: process.memoryUsage().heapUsed,
    buffers: process.memoryUsage().arrayBuffers,
    produced,
    backpressure: running.server.status.backpressure,
    held: requests.filter((request) => request.deref()).length,
    resources: count(process.getActiveResourcesInfo()),
  };
}

let last = Promise.resolve();
process.on('message', (question: ChildQuestion) => {
  last = last.then(async () => {
    await answers[question]();
    process.send?.({ port: running.port, stats: stats() } satisfies ChildAnswer);
    // From here on only what we left behind can keep the process alive.
    if (question === 'leave') process.disconnect();
  });
});

// CommonJS that requires Nest's ES modules: Node does that, Jest on Node 20 doesn't.
const throttler = scenario.startsWith('throttled') ? await import('@nestjs/throttler') : undefined;
const isThrottledAtConnect = scenario === 'throttled';
if (throttler && !isThrottledAtConnect) {
  const warn = (text: unknown): unknown => process.stderr.write(`${String(text)}\n`);
  Logger.overrideLogger({ log: () => undefined, error: () => undefined, warn });
}

running = await startApp({
  providers: [
    TestGateway,
    ...(throttler && !isThrottledAtConnect ? [{ provide: APP_GUARD, useClass: throttler.ThrottlerGuard }] : []),
  ],
  imports: throttler ? [throttler.ThrottlerModule.forRoot([{ ttl: 60_000, limit: 2 }])] : [],
  options: {
    ...scenarios[scenario],
    ...(throttler && isThrottledAtConnect && { connect: { guards: [throttler.ThrottlerGuard] } }),
  },
  keepsLogger: scenario === 'no-on-error' || scenario.startsWith('throttled-'),
  configure: (app: INestApplication) => {
    app.enableShutdownHooks();
    if (scenario === 'short-headers-timeout') {
      Object.assign(app.getHttpServer(), { headersTimeout: 500, requestTimeout: 500, connectionsCheckingInterval: 50 });
    }
  },
});
process.send?.({ port: running.port } satisfies ChildAnswer);

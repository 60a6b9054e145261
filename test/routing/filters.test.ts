/* oxlint-disable promise/valid-params -- a filter's method, no promise's */
import { describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  Catch,
  ConflictException,
  type ExceptionFilter,
  ForbiddenException,
  HttpException,
  UseFilters,
} from '@nestjs/common';
import { APP_FILTER, BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import { BaseWsExceptionFilter, MessageBody, WsException } from '@nestjs/websockets';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type AppOptions } from '../support/app.js';
import { useLoggedApp } from '../support/logged-app.js';
import type { Peer } from '../support/peer.js';

/** As in Nest's documentation. */
@Catch()
class AllExceptions extends BaseExceptionFilter {
  override catch(exception: unknown, host: ArgumentsHost): void {
    super.catch(exception, host);
  }
}

/** As in Nest's documentation, the one that takes the adapter. */
@Catch()
class CatchEverything implements ExceptionFilter {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(exception: unknown, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    const context = host.switchToHttp();
    const status = exception instanceof HttpException ? exception.getStatus() : 500;
    httpAdapter.reply(context.getResponse(), { path: httpAdapter.getRequestUrl(context.getRequest()) }, status);
  }
}

/** As in Nest's documentation of gateways. */
@Catch()
class AllWsExceptions extends BaseWsExceptionFilter {
  override catch(exception: Error, host: ArgumentsHost): void {
    super.catch(exception, host);
  }
}

@Catch(ConflictException)
class Renamed extends BaseWsExceptionFilter {
  override async catch(exception: ConflictException, host: ArgumentsHost): Promise<void> {
    await Promise.resolve();
    const said = { code: 'SEAT_TAKEN', message: exception.message, details: { seat: 4 } };
    super.catch(new WsException(said), host);
  }
}

@Catch()
class Broken implements ExceptionFilter {
  catch(): never {
    throw new RangeError('the filter itself');
  }
}

@Catch()
class Mapping implements ExceptionFilter {
  catch(): never {
    throw new WsException({ code: 'MAPPED', message: 'Something else.' });
  }
}

@Catch()
class SendsByItself implements ExceptionFilter {
  catch(_: unknown, host: ArgumentsHost): void {
    host
      .switchToWs()
      .getClient<{ send(text: string): void }>()
      .send(JSON.stringify({ type: 'own', action: 'oops' }));
  }
}

@WsGateway('fail')
class Failing {
  @WsRoute('http')
  http(): never {
    throw new ConflictException('The seat is taken.');
  }

  @WsRoute('ws')
  ws(@MessageBody() _data: unknown): never {
    throw new WsException({ code: 'TOO_LATE', message: 'Too late.', details: { by: 1 } });
  }

  @WsRoute('text')
  text(): never {
    throw new WsException('No.');
  }

  @WsRoute('bug')
  bug(): never {
    throw new Error('SECRET');
  }

  @UseFilters(Renamed)
  @WsRoute('renamed')
  renamed(): never {
    throw new ConflictException('The seat is taken.');
  }

  @UseFilters(Mapping)
  @WsRoute('mapped')
  mapped(): never {
    throw new ForbiddenException();
  }

  @UseFilters(Broken)
  @WsRoute('broken')
  broken(): never {
    throw new ConflictException('The seat is taken.');
  }

  @UseFilters(SendsByItself)
  @WsRoute('sends')
  sends(): never {
    throw new WsException('No.');
  }
}

describe('exception filters around a route', () => {
  let peer: Peer;
  const logged = useLoggedApp();

  const start = async (more: AppOptions): Promise<void> => {
    await logged.start({ providers: [Failing, ...(more.providers ?? [])], ...omit(more) });
    peer = await logged.running.connect();
  };
  const omit = ({ providers: _, ...rest }: AppOptions): AppOptions => rest;

  /** Every frame that came for one request, its error frame last. */
  const framesOf = async (action: string, data?: unknown): Promise<unknown[]> => {
    peer.received.length = 0;
    peer.send('fail', action, data, 7);
    await peer.settle();
    return [...peer.received];
  };
  const errorFrame = (action: string, code: string, error: string, details?: unknown) => ({
    type: 'error',
    action: 'message',
    id: 7,
    data: { error, code, type: 'fail', action, ...(details === undefined ? {} : { details }) },
  });

  describe.each(['fastify', 'express'] as const)('made for HTTP, on %s', (platform) => {
    it.each([
      ['nothing', undefined],
      ['an object', {}],
      ['what looks like a response', { sent: true, headersSent: true, status: 1, end: 1 }],
    ])("leave the error as it is: Nest's catch-all filter, the message's data being %s", async (_name, data) => {
      await start({ platform, configure: (app) => app.useGlobalFilters(new AllExceptions(app.getHttpAdapter())) });
      expect(await framesOf('http', data)).toEqual([errorFrame('http', 'CONFLICT', 'The seat is taken.')]);
      expect(await framesOf('ws', data)).toEqual([errorFrame('ws', 'TOO_LATE', 'Too late.', { by: 1 })]);
      expect(logged.running.errors).toEqual([]);
      expect(await framesOf('bug', data)).toEqual([
        errorFrame('bug', 'INTERNAL', 'Something went wrong on the server.'),
      ]);
      expect(logged.running.errors.map(({ message }) => message)).toEqual(['SECRET']);
    });

    it("leave the error as it is: Nest's filter with an HttpAdapterHost, as APP_FILTER", async () => {
      await start({
        platform,
        providers: [
          {
            provide: APP_FILTER,
            useFactory: (host: HttpAdapterHost) => new CatchEverything(host),
            inject: [HttpAdapterHost],
          },
        ],
      });
      expect(await framesOf('http')).toEqual([errorFrame('http', 'CONFLICT', 'The seat is taken.')]);
      expect(logged.running.errors).toEqual([]);
    });
  });

  it('that fail leave the error as it is, and the failure is logged once with the remedy', async () => {
    await start({});
    for (let n = 0; n < 3; n++)
      expect(await framesOf('broken')).toEqual([errorFrame('broken', 'CONFLICT', 'The seat is taken.')]);
    expect(logged.running.errors).toEqual([]);
    expect(logged.log.of('exception filter')).toEqual([
      'warn [WebSocketServer] An exception filter failed for the message fail/broken, so the error is answered without it ' +
        "(the filter itself). A filter made for HTTP should begin with: if (host.getType() !== 'http') return;",
    ]);
  });

  it('may throw another exception that is meant for the peer', async () => {
    await start({});
    expect(await framesOf('mapped')).toEqual([errorFrame('mapped', 'MAPPED', 'Something else.')]);
    expect(logged.log.of('exception filter')).toEqual([]);
  });

  it("that extend Nest's BaseWsExceptionFilter answer with one error frame of the protocol", async () => {
    await start({ configure: (app) => app.useGlobalFilters(new AllWsExceptions()) });
    expect(await framesOf('ws', { a: 1 })).toEqual([errorFrame('ws', 'TOO_LATE', 'Too late.', { by: 1 })]);
    expect(await framesOf('text', { a: 1 })).toEqual([errorFrame('text', 'BAD_REQUEST', 'No.')]);
    expect(await framesOf('http')).toEqual([errorFrame('http', 'CONFLICT', 'The seat is taken.')]);
    expect(await framesOf('bug')).toEqual([errorFrame('bug', 'INTERNAL', 'Something went wrong on the server.')]);
    expect(logged.running.errors.map(({ message }) => message)).toEqual(['SECRET']);
  });

  it("that extend Nest's BaseWsExceptionFilter may say something else", async () => {
    await start({});
    expect(await framesOf('renamed')).toEqual([errorFrame('renamed', 'SEAT_TAKEN', 'The seat is taken.', { seat: 4 })]);
  });

  it('may send a message of their own beside the error frame', async () => {
    await start({});
    expect(await framesOf('sends')).toEqual([
      { type: 'own', action: 'oops' },
      errorFrame('sends', 'BAD_REQUEST', 'No.'),
    ]);
  });
});

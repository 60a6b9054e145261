import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Catch,
  ConflictException,
  createParamDecorator,
  type ExceptionFilter,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  ParseIntPipe,
  type PipeTransform,
  Scope,
  UnauthorizedException,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, REQUEST } from '@nestjs/core';
import { MessageBody, WsException } from '@nestjs/websockets';
import { IsString, MinLength } from 'class-validator';
import { map, type Observable, tap } from 'rxjs';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';

const trace: string[] = [];

class Guard implements CanActivate {
  constructor(private readonly name: string) {}
  canActivate(context: ExecutionContext): boolean {
    const ws = context.switchToWs();
    trace.push(`guard ${this.name} ${context.getType()} ${context.getHandler().name} ${ws.getPattern()}`);
    return ws.getData<{ blocked?: string } | undefined>()?.blocked !== this.name;
  }
}

class Interceptor implements NestInterceptor {
  constructor(private readonly name: string) {}
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    trace.push(`before ${this.name} ${context.getClass().name}`);
    return next.handle().pipe(
      tap(() => trace.push(`after ${this.name}`)),
      map((value) => (typeof value === 'string' ? `${value}+${this.name}` : (value as unknown))),
    );
  }
}

class Pipe implements PipeTransform {
  constructor(private readonly name: string) {}
  transform(value: unknown, { type }: { type: string }): unknown {
    if (type === 'body') trace.push(`pipe ${this.name}`);
    return value;
  }
}

@Catch(ConflictException)
class ConflictFilter implements ExceptionFilter {
  constructor(private readonly name: string) {}
  catch(exception: ConflictException, host: ArgumentsHost): unknown {
    trace.push(`filter ${this.name} ${host.getType()} ${host.switchToWs().getPattern()}`);
    return { caughtBy: this.name, message: exception.message };
  }
}

class SendDto {
  @IsString()
  @MinLength(2)
  text!: string;
}

const Shout = createParamDecorator((_: unknown, context: ExecutionContext) =>
  context.switchToWs().getData<{ text: string }>().text.toUpperCase(),
);

@UseGuards(new Guard('class'))
@UseInterceptors(new Interceptor('class'))
@UsePipes(new Pipe('class'))
@UseFilters(new ConflictFilter('class'))
@WsGateway('pipe')
class PipelineGateway {
  @UseGuards(new Guard('method'))
  @UseInterceptors(new Interceptor('method'))
  @UsePipes(new Pipe('method'))
  @WsRoute('all')
  all(@MessageBody() data: { text: string }, @Shout() shout: string): string {
    trace.push('handler');
    return `${data.text}/${shout}`;
  }

  @UseFilters(new ConflictFilter('method'))
  @WsRoute('conflict')
  conflict(): never {
    throw new ConflictException('taken');
  }

  @WsRoute('conflict-class')
  conflictOfClass(): never {
    throw new ConflictException('taken');
  }
}

@WsGateway('plain')
class PlainGateway {
  @WsRoute('dto')
  dto(@MessageBody(new ValidationPipe()) data: SendDto): string {
    return data.text;
  }

  @WsRoute('undecorated')
  undecorated(_ws: unknown, _clientId: string, data: SendDto): string {
    return `${data.constructor.name} ${data.text}`;
  }

  @WsRoute('number')
  number(@MessageBody('count', ParseIntPipe) count: number): number {
    return count + 1;
  }

  @WsRoute('ws-exception')
  wsException(): never {
    throw new WsException({ code: 'NOT_YOUR_TURN', message: 'Wait for your turn.', details: { turn: 'x' } });
  }

  @WsRoute('ws-text')
  wsText(): never {
    throw new WsException('No.');
  }

  @WsRoute('unauthorized')
  unauthorized(): never {
    throw new UnauthorizedException();
  }

  @WsRoute('bug')
  bug(_ws: unknown, _clientId: string, data: { secret: string }): never {
    throw new Error(`secret ${data.secret}`);
  }

  @WsRoute('conflict')
  conflict(): never {
    throw new ConflictException('taken');
  }

  @WsRoute('bad')
  bad(): never {
    throw new BadRequestException('Not like this.');
  }
}

describe("Nest's pipeline around a route", () => {
  let running: RunningApp;
  const start = async (options: AppOptions): Promise<RunningApp> => {
    trace.length = 0;
    running = await startApp(options);
    return running;
  };
  afterEach(() => running.close());

  it('runs global, class and method guards, interceptors and pipes, in that order, with context type ws', async () => {
    await start({
      providers: [
        PipelineGateway,
        { provide: APP_GUARD, useValue: new Guard('app') },
        { provide: APP_INTERCEPTOR, useValue: new Interceptor('app') },
        { provide: APP_PIPE, useValue: new Pipe('app') },
      ],
      configure: (app) => app.useGlobalGuards(new Guard('global')),
    });
    const peer = await running.connect();
    const { response } = await peer.request('pipe', 'all', { text: 'hi' });
    expect(response).toBe('hi/HI+method+class+app');
    expect(trace).toEqual([
      'guard app ws all pipe/all',
      'guard global ws all pipe/all',
      'guard class ws all pipe/all',
      'guard method ws all pipe/all',
      'before app PipelineGateway',
      'before class PipelineGateway',
      'before method PipelineGateway',
      'pipe app',
      'pipe class',
      'pipe method',
      'handler',
      'after method',
      'after class',
      'after app',
    ]);
  });

  it.each(['global', 'app', 'class', 'method'])('answers FORBIDDEN when the %s guard refuses', async (name) => {
    await start({
      providers: [PipelineGateway, { provide: APP_GUARD, useValue: new Guard('app') }],
      configure: (app) => app.useGlobalGuards(new Guard('global')),
    });
    const peer = await running.connect();
    const { id, data } = await peer.request('pipe', 'all', { text: 'hi', blocked: name });
    expect({ id, data }).toEqual({
      id: 'r1',
      data: { code: 'FORBIDDEN', error: 'Forbidden resource', type: 'pipe', action: 'all' },
    });
    expect(running.errors).toEqual([]);
  });

  it('sends what a method, class or global filter returns as the reply', async () => {
    await start({
      providers: [PipelineGateway, PlainGateway, { provide: APP_FILTER, useValue: new ConflictFilter('app') }],
    });
    const peer = await running.connect();
    expect((await peer.request('pipe', 'conflict')).response).toEqual({ caughtBy: 'method', message: 'taken' });
    expect((await peer.request('pipe', 'conflict-class')).response).toEqual({ caughtBy: 'class', message: 'taken' });
    expect((await peer.request('plain', 'conflict')).response).toEqual({ caughtBy: 'app', message: 'taken' });
    expect(trace).toContain('filter app ws plain/conflict');
  });

  it('answers as if a global filter written for HTTP alone were not there', async () => {
    @Catch()
    class HttpFilter implements ExceptionFilter {
      catch(_exception: unknown, host: ArgumentsHost): void {
        host.switchToHttp().getResponse<{ status: (code: number) => void }>().status(500);
      }
    }
    await start({ providers: [PlainGateway], configure: (app) => app.useGlobalFilters(new HttpFilter()) });
    const peer = await running.connect();
    expect((await peer.request('plain', 'bad')).data).toMatchObject({ code: 'BAD_REQUEST', error: 'Not like this.' });
  });

  it('validates a DTO and tells what is wrong', async () => {
    await start({ providers: [PlainGateway] });
    const peer = await running.connect();
    expect((await peer.request('plain', 'dto', { text: 'hello' })).response).toBe('hello');
    expect((await peer.request('plain', 'dto', { text: 1 })).data).toEqual({
      code: 'VALIDATION_FAILED',
      error: 'The data did not pass validation.',
      type: 'plain',
      action: 'dto',
      details: ['text must be longer than or equal to 2 characters', 'text must be a string'],
    });
  });

  it('gives a global ValidationPipe the DTO of an undecorated data parameter, too', async () => {
    await start({
      providers: [PlainGateway],
      configure: (app) => app.useGlobalPipes(new ValidationPipe({ transform: true, whitelist: true })),
    });
    const peer = await running.connect();
    expect((await peer.request('plain', 'undecorated', { text: 'hello' })).response).toBe('SendDto hello');
    expect((await peer.request('plain', 'undecorated', { text: '' })).data.code).toBe('VALIDATION_FAILED');
  });

  it('runs pipes on a property of the data', async () => {
    await start({ providers: [PlainGateway] });
    const peer = await running.connect();
    expect((await peer.request('plain', 'number', { count: '41' })).response).toBe(42);
    expect((await peer.request('plain', 'number', { count: 'x' })).data.code).toBe('BAD_REQUEST');
  });

  it('maps Nest exceptions to stable codes with their message and details', async () => {
    await start({ providers: [PlainGateway] });
    const peer = await running.connect();
    expect((await peer.request('plain', 'ws-exception')).data).toEqual({
      code: 'NOT_YOUR_TURN',
      error: 'Wait for your turn.',
      details: { turn: 'x' },
      type: 'plain',
      action: 'ws-exception',
    });
    expect((await peer.request('plain', 'ws-text')).data).toMatchObject({ code: 'BAD_REQUEST', error: 'No.' });
    expect((await peer.request('plain', 'unauthorized')).data.code).toBe('UNAUTHENTICATED');
    expect(running.errors).toEqual([]);
  });

  it('tells a peer nothing of an unknown error, and reports it once', async () => {
    await start({ providers: [PlainGateway] });
    const peer = await running.connect();
    const frame = await peer.request('plain', 'bug', { secret: 'tulip' });
    expect(frame.data).toMatchObject({ code: 'INTERNAL', error: 'Something went wrong on the server.' });
    expect(JSON.stringify(frame)).not.toContain('tulip');
    expect(running.errors.map(({ message }) => message)).toEqual(['secret tulip']);
  });

  it('makes a request-scoped gateway and its dependencies anew for every message', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Scoped {
      static made = 0;
      readonly number = ++Scoped.made;
      constructor(@Inject(REQUEST) readonly request: { pattern: string; clientId: string }) {}
    }
    @Injectable()
    @WsGateway('scoped')
    class ScopedGateway {
      constructor(private readonly scoped: Scoped) {}
      @UseGuards(new Guard('scoped'))
      @WsRoute('get')
      get(@MessageBody() data: unknown): unknown {
        const { number, request } = this.scoped;
        return { number, pattern: request.pattern, clientId: request.clientId, data };
      }
    }
    await start({ providers: [Scoped, ScopedGateway] });
    const peer = await running.connect();
    const first = await peer.request('scoped', 'get', 1);
    const second = await peer.request('scoped', 'get', 2);
    expect(first.response).toEqual({ number: 1, pattern: 'scoped/get', clientId: peer.clientId, data: 1 });
    expect(second.response).toMatchObject({ number: 2, data: 2 });
    expect((await peer.request('scoped', 'get', { blocked: 'scoped' })).data.code).toBe('FORBIDDEN');
  });
});

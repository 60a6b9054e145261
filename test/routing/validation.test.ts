import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  Injectable,
  type PipeTransform,
  UnprocessableEntityException,
  UsePipes,
  type ValidationError,
  ValidationPipe,
  type ValidationPipeOptions,
} from '@nestjs/common';
import { APP_PIPE } from '@nestjs/core';
import { ConnectedSocket, MessageBody, WsException } from '@nestjs/websockets';
import { Type } from 'class-transformer';
import { IsInt, IsString, ValidateNested } from 'class-validator';
import type { WebSocket } from 'ws';
import { ClientId, WsGateway, WsRoute } from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import type { Frame } from '../support/peer.js';

class Line {
  @IsInt()
  count!: number;
}

class Order {
  @IsString()
  name!: string;

  @ValidateNested({ each: true })
  @Type(() => Line)
  lines!: Line[];
}

const BAD = { name: 7, lines: [{ count: 1 }, { count: 'two' }] };
const DETAILS = ['name must be a string', 'lines.1.count must be an integer number'];

@WsGateway('order')
class Plain {
  @WsRoute('place')
  place(@MessageBody() order: Order, @ConnectedSocket() ws: WebSocket, @ClientId() clientId: string): string {
    return `${order.name} ${ws.readyState} ${clientId.length > 0}`;
  }
}

@UsePipes(new ValidationPipe())
@WsGateway('order')
class OfClass extends Plain {
  @WsRoute('place')
  override place(@MessageBody() order: Order, @ConnectedSocket() ws: WebSocket, @ClientId() id: string): string {
    return super.place(order, ws, id);
  }
}

@WsGateway('order')
class OfMethod extends Plain {
  @UsePipes(new ValidationPipe())
  @WsRoute('place')
  override place(@MessageBody() order: Order, @ConnectedSocket() ws: WebSocket, @ClientId() id: string): string {
    return super.place(order, ws, id);
  }
}

@WsGateway('order')
class OfParameter extends Plain {
  @WsRoute('place')
  override place(
    @MessageBody(ValidationPipe) order: Order,
    @ConnectedSocket() ws: WebSocket,
    @ClientId() id: string,
  ): string {
    return super.place(order, ws, id);
  }
}

describe('the details of a failed validation', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  async function place(app: AppOptions, order: unknown = BAD): Promise<Frame> {
    running = await startApp(app);
    const peer = await running.connect();
    const good = await peer.request('order', 'place', { name: 'tea', lines: [] });
    expect(good.response).toBe('tea 1 true');
    const frame = await peer.request('order', 'place', order);
    expect(frame).toMatchObject({
      type: 'error',
      action: 'message',
      id: 'r2',
      data: { type: 'order', action: 'place' },
    });
    expect(running.errors).toEqual([]);
    return frame.data;
  }

  it.each<[string, AppOptions]>([
    ['the application', { providers: [Plain], configure: (app) => app.useGlobalPipes(new ValidationPipe()) }],
    ['APP_PIPE', { providers: [Plain, { provide: APP_PIPE, useClass: ValidationPipe }] }],
    ['a class', { providers: [OfClass] }],
    ['a method', { providers: [OfMethod] }],
    ['a parameter', { providers: [OfParameter] }],
  ])("come with the request's id from a pipe of %s, those of nested objects, too", async (_, app) => {
    expect(await place(app)).toEqual({
      code: 'VALIDATION_FAILED',
      error: 'The data did not pass validation.',
      type: 'order',
      action: 'place',
      details: DETAILS,
    });
  });

  it.each([undefined, null, 7, 'text', [], {}])('come for data of any shape: %p', async (order) => {
    const { code, details } = await place({ providers: [OfParameter] }, order);
    expect([code, Array.isArray(details)]).toEqual(['VALIDATION_FAILED', true]);
  });

  const withFactory = (exceptionFactory: ValidationPipeOptions['exceptionFactory']): AppOptions => ({
    providers: [Plain],
    configure: (app) => app.useGlobalPipes(new ValidationPipe({ exceptionFactory: exceptionFactory as never })),
  });
  const shortList = (errors: ValidationError[]): string[] => errors.map(({ property }) => property);

  it.each<[string, (errors: ValidationError[]) => unknown, object]>([
    [
      'a list of its own',
      (errors) => new BadRequestException(shortList(errors)),
      { code: 'VALIDATION_FAILED', details: ['name', 'lines'] },
    ],
    [
      'a code and details',
      (errors) => new BadRequestException({ code: 'ORDER_ODD', message: 'Odd.', details: shortList(errors) }),
      { code: 'ORDER_ODD', error: 'Odd.', details: ['name', 'lines'] },
    ],
    [
      'a WsException',
      (errors) => new WsException({ code: 'ORDER_ODD', message: 'Odd.', details: { fields: shortList(errors) } }),
      { code: 'ORDER_ODD', error: 'Odd.', details: { fields: ['name', 'lines'] } },
    ],
    [
      '422 and nothing else',
      () => new UnprocessableEntityException('Odd.'),
      { code: 'VALIDATION_FAILED', error: 'Odd.' },
    ],
  ])('are what the exceptionFactory makes of them: %s', async (_, exceptionFactory, expected) => {
    expect(await place(withFactory(exceptionFactory))).toEqual({
      error: expect.any(String),
      type: 'order',
      action: 'place',
      ...expected,
    });
  });

  it("are class-validator's own errors without the values, when the exceptionFactory passes them on", async () => {
    const { code, details } = await place(withFactory((errors) => new BadRequestException(errors)));
    expect(code).toBe('VALIDATION_FAILED');
    const wrong = { isInt: 'count must be an integer number' };
    expect(details).toEqual([
      { property: 'name', constraints: { isString: 'name must be a string' } },
      { property: 'lines', children: [{ property: '1', children: [{ property: 'count', constraints: wrong }] }] },
    ]);
  });

  const issues = [{ code: 'invalid_type', path: ['name'], message: 'Expected a string.' }];

  @Injectable()
  class SchemaPipe implements PipeTransform {
    constructor(private readonly error: Error) {}
    transform(value: unknown): unknown {
      if (typeof (value as Partial<Order>).name === 'number') throw this.error;
      return value;
    }
  }

  it.each<[string, Error, object]>([
    [
      '{ code, details }',
      new BadRequestException({ code: 'VALIDATION_FAILED', message: 'No.', details: issues }),
      { code: 'VALIDATION_FAILED', error: 'No.', details: issues },
    ],
    [
      '{ message, errors }',
      new BadRequestException({ statusCode: 400, message: 'Validation failed', errors: issues }),
      { code: 'VALIDATION_FAILED', error: 'Validation failed', details: issues },
    ],
    [
      'a WsException of { code, details }',
      new WsException({ code: 'VALIDATION_FAILED', message: 'No.', details: issues }),
      { code: 'VALIDATION_FAILED', error: 'No.', details: issues },
    ],
  ])("are a schema's issues: %s", async (_, error, expected) => {
    const app: AppOptions = { providers: [Plain], configure: (app) => app.useGlobalPipes(new SchemaPipe(error)) };
    expect(await place(app)).toEqual({ type: 'order', action: 'place', ...expected });
  });
});

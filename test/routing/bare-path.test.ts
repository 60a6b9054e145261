import { afterEach, describe, expect, it } from '@jest/globals';
import { type CanActivate, createParamDecorator, Injectable, UseGuards } from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { MessageBody } from '@nestjs/websockets';
import { ClientId, WsRoute } from '../../lib/index.js';
import { NestPipeline } from '../../lib/routing/nest-pipeline.js';
import { RouteCall, type RoutePeer } from '../../lib/routing/route-call.js';
import { type RunningApp, startApp } from '../support/app.js';

class Pass implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}
const Doubled = createParamDecorator(async (factor: number) => factor * 2);

@Injectable()
class Routes {
  @WsRoute('bare', 'plain')
  plain(_ws: unknown, clientId: string, data: unknown) {
    return [clientId, data];
  }

  @WsRoute('bare', 'decorated')
  decorated(@MessageBody('text') text: string, @ClientId() clientId: string) {
    return [clientId, text];
  }

  @WsRoute('bare', 'promised')
  promised(@Doubled(21) answer: number) {
    return answer;
  }

  @WsRoute('bare', 'guarded')
  @UseGuards(Pass)
  guarded() {
    return 1;
  }
}

describe('a handler with nothing around it', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  const call = async (method: keyof Routes): Promise<unknown> => {
    running = await startApp({ providers: [Routes, Pass] });
    const pipeline = new NestPipeline(running.app.get(ExternalContextCreator));
    const peer = { ws: {}, clientId: 'c1', client: {} } as RoutePeer;
    return {
      made: pipeline.wrap(running.app.get(Routes), method)(new RouteCall(peer, 'bare', method, { text: 'hi' }, 1)),
    };
  };

  it('is called where its message came in, and answers at once', async () => {
    expect(await call('plain')).toEqual({ made: ['c1', { text: 'hi' }] });
  });

  it('gets the parameters that its decorators name', async () => {
    expect(await call('decorated')).toEqual({ made: ['c1', 'hi'] });
  });

  it('waits for a parameter that is promised', async () => {
    const { made } = (await call('promised')) as { made: Promise<unknown> };
    expect(made).toBeInstanceOf(Promise);
    expect(await made).toBe(42);
  });

  it("goes through Nest's pipeline as soon as there is a guard", async () => {
    const { made } = (await call('guarded')) as { made: Promise<unknown> };
    expect(made).toBeInstanceOf(Promise);
    expect(await made).toBe(1);
  });
});

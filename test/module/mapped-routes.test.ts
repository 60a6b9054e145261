import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { PxlWebSocketModule, PxlWsAdapter, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { LogLines } from '../support/log-lines.js';

@WsGateway('chat')
class ChatGateway {
  @WsRoute('send')
  send(): void {}

  @WsRoute('away')
  away(): void {}
}

@WsGateway({ type: 'chat', server: 'admin' })
class AdminGateway {
  @WsRoute('send')
  send(): void {}
}

@WebSocketGateway()
class StockGateway {
  @SubscribeMessage('stock/ask')
  ask(): void {}
}

describe('at start', () => {
  let running: RunningApp;
  let log: LogLines;
  beforeEach(() => {
    log = new LogLines();
  });
  afterEach(async () => {
    log.stop();
    await running.close();
  });

  it("logs one line a route, as Nest does; Nest's own line stands for a stock gateway's", async () => {
    running = await startApp({
      imports: [PxlWebSocketModule.forRoot({ name: 'admin', path: '/admin' })],
      providers: [ChatGateway, AdminGateway, StockGateway],
      keepsLogger: true,
      configure: (app) => app.useWebSocketAdapter(new PxlWsAdapter(app)),
    });
    expect(log.of('Mapped')).toEqual([
      'log [WebSocketServer] Mapped {/ws, chat/send} route',
      'log [WebSocketServer] Mapped {/ws, chat/away} route',
      'log [WebSocketServer] Mapped {/admin, chat/send} route',
    ]);
    expect(log.of('stock/ask')).toEqual([
      'log [WebSocketsController] StockGateway subscribed to the "stock/ask" message',
    ]);
  });
});

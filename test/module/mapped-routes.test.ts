import { describe, expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { PxlWebSocketModule, PxlWsAdapter, WsGateway, WsRoute } from '../../lib/index.js';
import { useLoggedApp } from '../support/logged-app.js';

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
  const logged = useLoggedApp();

  it("logs one line a route, as Nest does; Nest's own line stands for a stock gateway's", async () => {
    await logged.start({
      imports: [PxlWebSocketModule.forRoot({ name: 'admin', path: '/admin' })],
      providers: [ChatGateway, AdminGateway, StockGateway],
      configure: (app) => app.useWebSocketAdapter(new PxlWsAdapter(app)),
    });
    expect(logged.log.of('Mapped')).toEqual([
      'log [WebSocketServer] Mapped {/ws, chat/send} route',
      'log [WebSocketServer] Mapped {/ws, chat/away} route',
      'log [WebSocketServer] Mapped {/admin, chat/send} route',
    ]);
    expect(logged.log.of('stock/ask')).toEqual([
      'log [WebSocketsController] StockGateway subscribed to the "stock/ask" message',
    ]);
  });
});

import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { ConnectedSocket, MessageBody } from '@nestjs/websockets';
import type { WebSocket } from 'ws';
import { ClientId, ConnectedClient, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';

@Injectable()
@WsGateway('chat')
class ChatGateway {
  @WsRoute('send')
  send(ws: WebSocket, clientId: string, data: { text: string }) {
    return { clientId, text: data.text, open: ws.readyState };
  }

  @WsRoute('decorated')
  decorated(
    @MessageBody('text') text: string,
    @ConnectedSocket() ws: WebSocket,
    @ClientId() clientId: string,
    @ConnectedClient() client: ConnectedClient,
  ) {
    return { text, clientId, same: client.ws === ws };
  }

  @WsRoute('nothing')
  nothing() {}

  @WsRoute('other', 'place')
  other() {
    return 'other';
  }
}

describe('routes', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  it('calls a handler without parameter decorators with (ws, clientId, data)', async () => {
    running = await startApp({ providers: [ChatGateway] });
    const peer = await running.connect();
    const reply = await peer.request('chat', 'send', { text: 'hi' });
    expect(reply).toEqual({
      type: 'chat',
      action: 'send',
      id: 'r1',
      response: { clientId: peer.clientId, text: 'hi', open: 1 },
    });
  });

  it('fills in the parameters that decorators name', async () => {
    running = await startApp({ providers: [ChatGateway], platform: 'express' });
    const peer = await running.connect();
    const { response } = await peer.request('chat', 'decorated', { text: 'hi' });
    expect(response).toEqual({ text: 'hi', clientId: peer.clientId, same: true });
  });

  it('answers a request with null where the handler returns nothing', async () => {
    running = await startApp({ providers: [ChatGateway] });
    const peer = await running.connect();
    expect(await peer.request('chat', 'nothing')).toEqual({
      type: 'chat',
      action: 'nothing',
      id: 'r1',
      response: null,
    });
    expect((await peer.request('other', 'place')).response).toBe('other');
  });
});

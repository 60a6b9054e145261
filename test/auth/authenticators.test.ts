import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module, UnauthorizedException } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import {
  type AuthenticatedUser,
  PxlWebSocketModule,
  tokenOf,
  type WebSocketAuthenticator,
  type WebSocketOptions,
  WebSocketServer,
  type WebSocketUser,
} from '../../lib/index.js';
import { NestFactory } from '@nestjs/core';
import { type RunningApp, startApp } from '../support/app.js';
import { bearer } from '../support/tokens.js';

@Injectable()
class Sessions {
  static made = 0;
  constructor() {
    Sessions.made++;
  }
  find(token: string | undefined): string | undefined {
    return token?.startsWith('session-of-') ? token.slice('session-of-'.length) : undefined;
  }
}

@Injectable()
class SessionAuthenticator implements WebSocketAuthenticator {
  static made = 0;
  constructor(private readonly sessions: Sessions) {
    SessionAuthenticator.made++;
  }

  async authenticate(request: IncomingMessage): Promise<AuthenticatedUser | null> {
    const userId = this.sessions.find(tokenOf(request));
    if (userId === 'banned') throw new UnauthorizedException('You are banned.');
    return userId === undefined ? null : { userId, payload: { from: 'session' } };
  }

  async refresh(token: string, { payload }: WebSocketUser): Promise<AuthenticatedUser | null> {
    const userId = this.sessions.find(token);
    return userId === undefined ? null : { userId, payload: { ...payload, isFresh: true } };
  }
}

describe('an authenticator of your own', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  const works = async (): Promise<void> => {
    const peer = await running.connect(bearer('session-of-ada'));
    expect(peer.connected.data.user).toEqual({ userId: 'ada' });
    await expect(running.connect(bearer('nobody'))).rejects.toThrow('401');
    await expect(running.connect(bearer('session-of-banned'))).rejects.toThrow('401');
    expect((await peer.request('system', 'refresh', { token: 'session-of-bob' })).data.code).toBe('FORBIDDEN');
    expect((await peer.request('system', 'refresh', { token: 'session-of-ada' })).response.success).toBe(true);
    expect(running.clients.getClient(peer)?.user).toEqual({
      userId: 'ada',
      payload: { from: 'session', isFresh: true },
    });
    expect(running.errors).toEqual([]);
  };

  it('is the instance that the application provides', async () => {
    SessionAuthenticator.made = 0;
    running = await startApp({
      providers: [Sessions, SessionAuthenticator],
      options: { auth: { useClass: SessionAuthenticator } },
    });
    await works();
    expect(SessionAuthenticator.made).toBe(1);
  });

  it('is found by the token of its provider', async () => {
    running = await startApp({
      providers: [Sessions, { provide: 'AUTH', useClass: SessionAuthenticator }],
      options: { auth: { useExisting: 'AUTH' } },
    });
    await works();
  });

  it('is made by the module when nobody provides it', async () => {
    @Module({ providers: [Sessions], exports: [Sessions] })
    class SessionsModule {}
    const options = { auth: { useClass: SessionAuthenticator } };
    @Module({ imports: [PxlWebSocketModule.forRootAsync({ imports: [SessionsModule], useFactory: () => options })] })
    class AppModule {}
    const app = await NestFactory.create(AppModule, { logger: false });
    running = { close: () => app.close() } as RunningApp;
    await app.listen(0, '127.0.0.1');
    expect(app.get(WebSocketServer).isRunning).toBe(true);
  });
});

describe('an authenticator that can not be found', () => {
  it.each([
    [{ useExisting: 'NOBODY' }, '"auth.useExisting" names NOBODY, which no module provides'],
    [{ useExisting: Sessions }, '"auth.useExisting" names Sessions, which no module provides'],
    [{ useClass: SessionAuthenticator }, '"auth.useClass" names SessionAuthenticator, which can\'t be created here'],
    [{ useClass: Sessions }, '"auth.useClass" names Sessions, which has no method authenticate(request)'],
  ])('ends the start, with the remedy: %p', async (auth, message) => {
    await expect(startApp({ options: { auth } as WebSocketOptions })).rejects.toThrow(message);
  });

  it('ends load() on a server without Nest', async () => {
    const server = new WebSocketServer({ auth: { useClass: SessionAuthenticator } });
    await expect(server.load()).rejects.toThrow('need a Nest application');
  });
});

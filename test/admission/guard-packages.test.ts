import { afterEach, describe, expect, it } from '@jest/globals';
import { type CanActivate, type ExecutionContext, Inject, Injectable, UnauthorizedException } from '@nestjs/common';
import { JwtModule, JwtService } from '@nestjs/jwt';
import { AuthGuard, PassportModule, PassportStrategy } from '@nestjs/passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import type { UpgradeRequest } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { ChildApp } from '../support/child.js';
import { type HandshakeOptions, RawPeer } from '../support/raw-peer.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';

const peers: RawPeer[] = [];
afterEach(() => {
  for (const peer of peers.splice(0)) peer.reset();
});

async function ask(port: number, options?: HandshakeOptions): Promise<RawPeer['answer']> {
  const peer = await RawPeer.handshake(port, options);
  peers.push(peer);
  return peer.answer;
}

describe("@nestjs/throttler's ThrottlerGuard", () => {
  it('answers with 429 and Retry-After, for each address separately', async () => {
    const child = await ChildApp.start('throttled');
    try {
      const from = (address: string) => ask(child.port, { headers: { 'X-Forwarded-For': address } });
      for (let n = 0; n < 2; n++) expect((await from('192.0.2.1'))?.status).toBe(101);
      const third = await from('192.0.2.1');
      expect(third?.status).toBe(429);
      expect(JSON.parse(third?.body ?? '')).toMatchObject({ code: 'RATE_LIMITED' });
      expect(third?.headers).toMatch(/^Retry-After: \d+$/m);
      expect((await from('192.0.2.2'))?.status).toBe(101);
      expect((await child.stats()).errors).toEqual([]);
    } finally {
      await child.stop();
    }
  });
});

describe.each(['fastify', 'express'] as const)("@nestjs/passport's AuthGuard('jwt'), on %s", (platform) => {
  let running: RunningApp;
  afterEach(() => running.close());

  @Injectable()
  class JwtStrategy extends PassportStrategy(Strategy) {
    constructor() {
      super({ jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(), secretOrKey: SECRET });
    }

    validate({ sub, exp }: { sub: string; exp?: number }): object | null {
      return sub === 'banned' ? null : { userId: sub, role: 'member', exp };
    }
  }

  const start = async (guard = AuthGuard('jwt')): Promise<void> => {
    const options = { connect: { guards: [guard] } };
    running = await startApp({ platform, options, imports: [PassportModule], providers: [JwtStrategy] });
  };

  it('says who it is', async () => {
    await start();
    const peer = await running.connect(bearer(await tokenFor('7f3e')));
    expect(peer.connected.data.user).toEqual({ userId: '7f3e' });
    expect(running.clients.getClient(peer)?.user).toMatchObject({ userId: '7f3e', payload: { role: 'member' } });
    expect(running.errors).toEqual([]);
  });

  it.each<[string, () => Promise<string> | undefined]>([
    ['no token', () => undefined],
    ["somebody else's", () => tokenFor('ada', {}, { key: new TextEncoder().encode('x'.repeat(32)) })],
    ['one that has expired', () => tokenFor('ada', {}, { expiresIn: -5 })],
    ['one whose user validate() refuses', () => tokenFor('banned')],
  ])('answers with 401: %s', async (_, token) => {
    await start();
    const shown = await token();
    const answer = await ask(running.port, { headers: { Authorization: shown && `Bearer ${shown}` } });
    expect(answer?.status).toBe(401);
    expect(JSON.parse(answer?.body ?? '')).toEqual({ code: 'UNAUTHENTICATED', error: 'Unauthorized' });
    expect(running.errors).toEqual([]);
  });

  it('ends the connection with its token, where validate() returns the exp', async () => {
    await start();
    const peer = await running.connect(bearer(await tokenFor('ada', {}, { expiresIn: 2 })));
    expect((await peer.closed).code).toBe(4200);
  });

  it('lets anonymous clients in where its handleRequest() does', async () => {
    class Optional extends AuthGuard('jwt') {
      override handleRequest<T>(_error: unknown, user: T): T {
        return user;
      }
    }
    await start(Optional);
    expect((await running.connect()).connected.data.user).toBeUndefined();
    expect((await running.connect(bearer(await tokenFor('ada')))).connected.data.user).toEqual({ userId: 'ada' });
  });
});

describe("the guard of Nest's documentation, with @nestjs/jwt", () => {
  let running: RunningApp;
  afterEach(() => running.close());

  @Injectable()
  class DocumentedGuard implements CanActivate {
    constructor(@Inject(JwtService) private readonly jwtService: JwtService) {}

    async canActivate(context: ExecutionContext): Promise<boolean> {
      const request = context.switchToHttp().getRequest<UpgradeRequest>();
      const [type, token] = request.headers.authorization?.split(' ') ?? [];
      if (type !== 'Bearer' || !token) throw new UnauthorizedException();
      try {
        request['user'] = await this.jwtService.verifyAsync(token, { secret: SECRET });
      } catch {
        throw new UnauthorizedException();
      }
      return true;
    }
  }

  it('says who it is', async () => {
    const options = { connect: { guards: [DocumentedGuard] } };
    running = await startApp({ options, imports: [JwtModule.register({})], providers: [DocumentedGuard] });
    expect((await ask(running.port))?.status).toBe(401);
    expect((await running.connect(bearer(await tokenFor('ada')))).connected.data.user).toEqual({ userId: 'ada' });
    expect(running.errors).toEqual([]);
  });
});

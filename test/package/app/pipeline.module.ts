import {
  type ArgumentsHost,
  type CallHandler,
  Catch,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  Injectable,
  Module,
  type NestInterceptor,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import { ClientId, PxlWebSocketModule, WebSocketService, WsGateway, WsRoute } from '@scpxl/nestjs-websocket';
import { IsString, Length } from 'class-validator';
import { map, of } from 'rxjs';
import type { WebSocket } from 'ws';

class MessageDto {
  @IsString()
  roomName!: string;

  @Length(1, 5)
  text!: string;
}

@Injectable()
class NotBannedGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.getType() !== 'ws' || context.switchToWs().getPattern() !== 'pipeline/banned';
  }
}

@Injectable()
class NeverGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

class ShoutInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<string>) {
    return next.handle().pipe(map((text) => text.toUpperCase()));
  }
}

class TeapotError extends Error {}

@Catch(TeapotError)
class TeapotFilter implements ExceptionFilter {
  catch(_error: TeapotError, host: ArgumentsHost) {
    return { teapot: host.getType(), data: host.switchToWs().getData<unknown>() };
  }
}

@Injectable({ scope: Scope.REQUEST })
class PerMessage {
  private count = 0;

  next(): number {
    return ++this.count;
  }
}

@WsGateway('pipeline')
@Injectable()
class PipelineGateway implements OnGatewayConnection<WebSocket> {
  private readonly ready = new WeakSet<WebSocket>();

  constructor(private readonly service: WebSocketService) {}

  async handleConnection(ws: WebSocket): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.ready.add(ws);
  }

  @WsRoute('ready')
  isReady(ws: WebSocket) {
    return this.ready.has(ws);
  }

  @WsRoute('say')
  async say(@MessageBody() message: MessageDto, @ClientId() clientId: string) {
    const { roomName, text } = message;
    const data = { from: clientId, text, isDto: message instanceof MessageDto };
    await this.service.sendToRooms([roomName], { type: 'pipeline', action: 'said', data }, { except: [clientId] });
  }

  @UseGuards(NeverGuard)
  @WsRoute('guarded')
  guarded() {
    return 'never';
  }

  @WsRoute('banned')
  banned() {
    return 'never';
  }

  @UseInterceptors(ShoutInterceptor)
  @WsRoute('stream')
  stream() {
    return of('one', 'two');
  }

  @UseFilters(TeapotFilter)
  @WsRoute('filtered')
  filtered() {
    throw new TeapotError();
  }

  @WsRoute('broken')
  broken() {
    throw new Error('a secret');
  }
}

@Injectable()
class RequestScopedGateway {
  constructor(private readonly perMessage: PerMessage) {}

  @WsRoute('scoped', 'next')
  next() {
    return this.perMessage.next();
  }
}

/** A stock gateway without a path: with PxlWsAdapter it runs on our server. */
@WebSocketGateway()
class SharedGateway {
  @SubscribeMessage('shared/echo')
  echo(@MessageBody() data: unknown, @ConnectedSocket() ws: WebSocket) {
    return { echo: data, readyState: ws.readyState };
  }
}

/** A stock gateway with a path of its own keeps Nest's frames. */
@WebSocketGateway({ path: '/stock' })
class StockGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown) {
    return { event: 'echo', data };
  }
}

@Module({
  imports: [PxlWebSocketModule.forRootAsync({ useFactory: () => ({ path: '/live', drain: { spreadMs: 50 } }) })],
  providers: [
    { provide: APP_GUARD, useClass: NotBannedGuard },
    PerMessage,
    PipelineGateway,
    RequestScopedGateway,
    SharedGateway,
    StockGateway,
  ],
})
export class PipelineModule {}

import { Inject, type InjectionToken } from '@nestjs/common';
import { WebSocketRoomManager } from '../clients/room-manager.js';
import { WebSocketClientManager } from '../clients/client-manager.js';
import { WebSocketServer } from '../server.js';
import { WebSocketService } from '../websocket.service.js';

type InjectDecorator = ReturnType<typeof Inject>;

/** The injection token of the server of `forRoot({ name })`. Without a name, it is the class itself. */
export const getWebSocketServerToken = (name?: string): InjectionToken => tokenOf(WebSocketServer, 'server', name);

/** The injection token of the service of `forRoot({ name })`. Without a name, it is the class itself. */
export const getWebSocketServiceToken = (name?: string): InjectionToken => tokenOf(WebSocketService, 'service', name);

/** The injection token of the client manager of `forRoot({ name })`. Without a name, it is the class itself. */
export const getWebSocketClientManagerToken = (name?: string): InjectionToken =>
  tokenOf(WebSocketClientManager, 'client-manager', name);

/** The injection token of the room manager of `forRoot({ name })`. Without a name, it is the class itself. */
export const getWebSocketRoomManagerToken = (name?: string): InjectionToken =>
  tokenOf(WebSocketRoomManager, 'room-manager', name);

/** Injects the `WebSocketServer` of `forRoot({ name })`. */
export const InjectWebSocketServer = (name?: string): InjectDecorator => Inject(getWebSocketServerToken(name));

/** Injects the `WebSocketService` of `forRoot({ name })`. */
export const InjectWebSocketService = (name?: string): InjectDecorator => Inject(getWebSocketServiceToken(name));

/** Injects the `WebSocketClientManager` of `forRoot({ name })`. */
export const InjectWebSocketClientManager = (name?: string): InjectDecorator =>
  Inject(getWebSocketClientManagerToken(name));

/** Injects the `WebSocketRoomManager` of `forRoot({ name })`. */
export const InjectWebSocketRoomManager = (name?: string): InjectDecorator =>
  Inject(getWebSocketRoomManagerToken(name));

const tokenOf = (type: InjectionToken, kind: string, name: string | undefined): InjectionToken =>
  name === undefined ? type : `pxl:${kind}:${name}`;

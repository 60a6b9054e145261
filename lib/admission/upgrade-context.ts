import type { ArgumentsHost, ExecutionContext, Type } from '@nestjs/common';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import type { UpgradeResponse } from './upgrade-response.js';

/**
 * The class that guards of `connect.guards` get from `context.getClass()`; `context.getHandler()` is its method `connect`. A
 * handshake has no controller. This class tells a guard that it runs before the upgrade.
 */
export class WebSocketUpgrade {
  connect(): void {}
}

/** The execution context of an upgrade: an HTTP request, so that guards and filters written for HTTP work. */
export class UpgradeContext implements ExecutionContext {
  constructor(
    private readonly request: UpgradeRequest,
    private readonly response: UpgradeResponse,
  ) {}

  getClass<T>(): Type<T> {
    return WebSocketUpgrade as Type<T>;
  }

  getHandler(): () => void {
    return WebSocketUpgrade.prototype.connect;
  }

  getType<T extends string>(): T {
    return 'http' as T;
  }

  getArgs<T extends unknown[]>(): T {
    return [this.request, this.response, next] as unknown as T;
  }

  getArgByIndex<T>(index: number): T {
    return this.getArgs()[index] as T;
  }

  switchToHttp(): ReturnType<ArgumentsHost['switchToHttp']> {
    const { request, response } = this;
    return { getRequest: <T>() => request as T, getResponse: <T>() => response as T, getNext: <T>() => next as T };
  }

  switchToWs(): never {
    throw new TypeError('There is no socket yet: this is the HTTP upgrade request. Use switchToHttp().');
  }

  switchToRpc(): never {
    return this.switchToWs();
  }
}

const next = (): void => undefined;

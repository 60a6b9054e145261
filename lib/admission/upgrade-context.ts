import type { ArgumentsHost, ExecutionContext, Type } from '@nestjs/common';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import type { UpgradeResponse } from './upgrade-response.js';

/**
 * What the guards of `connect.guards` find as `context.getClass()`, with its method `connect` as `context.getHandler()`: the
 * request to connect is for no controller. A guard can tell by it where it runs.
 */
export class WebSocketUpgrade {
  connect(): void {}
}

/** An upgrade as guards and filters see it: a request for HTTP, so that those written for HTTP work. */
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
    throw new TypeError('There is no socket yet: this is the request for one. Use switchToHttp().');
  }

  switchToRpc(): never {
    return this.switchToWs();
  }
}

const next = (): void => undefined;

import type { CanActivate, ExceptionFilter, Type } from '@nestjs/common';
import { classes, TIME } from '../options/checks.js';
import type { Table } from '../options/option-table.js';

/** Guards that run before there is a socket, and filters for what they throw. */
export interface ConnectOptions {
  /**
   * Nest guards: classes or instances. They run in this order, after `auth`. If a module provides the class, its instance is used;
   * otherwise one instance is created with what this module can inject. False is answered with 403, an `HttpException` with its
   * status, any other error with 500 and without its message. @default []
   */
  guards?: (Type<CanActivate> | CanActivate)[];
  /**
   * Exception filters for what guards throw: classes or instances. The first one whose `@Catch()` matches answers with
   * `host.switchToHttp().getResponse()`, as in HTTP. @default []
   */
  filters?: (Type<ExceptionFilter> | ExceptionFilter)[];
  /** Milliseconds that guards and filters may take together. Then the answer is 503. @default 5_000 */
  timeoutMs?: number;
}

export const CONNECT = {
  guards: { default: [], check: classes('guards') },
  filters: { default: [], check: classes('exception filters') },
  timeoutMs: { default: 5_000, check: TIME },
} satisfies Table<ConnectOptions>;

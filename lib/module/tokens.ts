import { Inject } from '@nestjs/common';

/** Provide your Redis under this token. `events.onMessage`, subscribers and base controllers get it as `redisInstance`. */
export const PXL_REDIS = Symbol.for('pxl:redis');
/** Provide your queue manager under this token. `events.onMessage`, subscribers and base controllers get it as `queueManager`. */
export const PXL_QUEUE_MANAGER = Symbol.for('pxl:queue-manager');
/** Provide your database under this token. `events.onMessage`, subscribers and base controllers get it as `databaseInstance`. */
export const PXL_DATABASE = Symbol.for('pxl:database');

/** The injection token of the client of `PxlWebSocketModule.forClient({ name })`. */
export const getWebSocketClientToken = (name: string): string => `pxl:client:${name}`;

/** Injects the client of `PxlWebSocketModule.forClient({ name })`. */
export const InjectWebSocketClient = (name: string): ReturnType<typeof Inject> => Inject(getWebSocketClientToken(name));

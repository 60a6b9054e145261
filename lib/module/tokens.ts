import { Inject } from '@nestjs/common';

/**
 * Provide these tokens with whatever your application uses. `events.onMessage`, subscribers and base controllers get them.
 */
export const PXL_REDIS = Symbol.for('pxl:redis');
export const PXL_QUEUE_MANAGER = Symbol.for('pxl:queue-manager');
export const PXL_DATABASE = Symbol.for('pxl:database');

/** The token of the client that `PxlWebSocketModule.forClient({ name })` provides. */
export const getWebSocketClientToken = (name: string): string => `pxl:client:${name}`;

/** Injects the client that `PxlWebSocketModule.forClient({ name })` provides. */
export const InjectWebSocketClient = (name: string): ReturnType<typeof Inject> => Inject(getWebSocketClientToken(name));

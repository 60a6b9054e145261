import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { WebSocketOptions } from '../server.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<WebSocketOptions>({ moduleName: 'PxlWebSocket' })
    .setClassMethodName('forRoot')
    .setExtras({ isGlobal: true, name: undefined as string | undefined }, (definition, { isGlobal }) => ({
      ...definition,
      global: isGlobal,
    }))
    .setFactoryMethodName('createWebSocketOptions')
    .build();

/** Creates the options of `forRootAsync({ useClass })` and `forRootAsync({ useExisting })`. */
export interface WebSocketOptionsFactory {
  /** Called once, before the start. */
  createWebSocketOptions(): WebSocketOptions | Promise<WebSocketOptions>;
}

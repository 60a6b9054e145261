import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { PxlWsAdapter } from '@scpxl/nestjs-websocket';
import { PipelineModule } from './pipeline.module.js';
import { serve } from './serve.js';

/** On Nest's default platform, with everything that leans on Nest's inside. */
async function main(): Promise<void> {
  const app = await NestFactory.create(PipelineModule, { logger: ['warn', 'error'] });
  app.useWebSocketAdapter(new PxlWsAdapter(app));
  app.useGlobalPipes(new ValidationPipe({ transform: true }));
  await app.listen(0, '127.0.0.1');
  serve(app);
}

void main();

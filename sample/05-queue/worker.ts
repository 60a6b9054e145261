import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { followParent } from '../04-cluster/child.js';
import { WorkerModule } from './worker.module.js';

followParent();
const app = await NestFactory.createApplicationContext(WorkerModule, { logger: ['warn', 'error', 'fatal'] });
app.enableShutdownHooks();
process.send?.('ready');

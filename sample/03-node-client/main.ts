import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { settings } from './settings.js';

// No HTTP server: the bot only goes out.
const app = await NestFactory.createApplicationContext(AppModule, { logger: ['log', 'warn', 'error', 'fatal'] });
// On SIGTERM and SIGINT the client says goodbye, and the process ends.
app.enableShutdownHooks();
console.log(`${settings.username} is on the way to ${settings.url}.`);

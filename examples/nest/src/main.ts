// An HTTP service on NestJS: POST /orders writes an order and its event in one transaction. DATABASE_URL names the database,
// PORT the port (default 3000).
import 'reflect-metadata';
import { StandardSchemaValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeormOutbox } from '@txbox/outbox/typeorm';
import { AppModule } from './app.module.ts';

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
app.useGlobalPipes(new StandardSchemaValidationPipe());
app.enableShutdownHooks(); // SIGTERM leads to onApplicationShutdown
await app.get(TypeormOutbox).migrate(); // in production a step of the deployment: txbox migrate
await app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1');
console.log(`listening on ${await app.getUrl()}`);

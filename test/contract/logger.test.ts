import { createRelay } from '@txbox/relay';
import { MemoryLog } from '@txbox/testing';
import { pino } from 'pino';
import { expect, it } from 'vitest';

it('a pino logger is a Logger as it is, and gets facts as fields', async () => {
  const lines: { readonly [name: string]: unknown }[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as { readonly [name: string]: unknown });
  const logger = pino({ base: null }, { write });
  const { promise, resolve } = Promise.withResolvers<void>();
  const publisher = Object.assign(new MemoryLog().publisher(), { connect: async () => resolve() });
  const relay = createRelay({ database: { url: 'sqlite::memory:' }, publisher, logger });
  await expect(relay.start()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
  void promise;
  await relay.stop();
  logger.warn({ topic: 'notes' }, 'here');
  expect(lines.at(-1)).toMatchObject({ level: 40, topic: 'notes', msg: 'here' });
});

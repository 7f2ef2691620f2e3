import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOutbox } from '@txbox/outbox/sqlite';
import { createRelay } from '@txbox/relay';
import { MemoryLog } from '@txbox/testing';
import Sqlite from 'better-sqlite3';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';

it('a pino logger is a Logger as it is, and gets facts as fields', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-logger-'));
  const file = join(folder, 'service.db');
  const database = new Sqlite(file);
  const outbox = createOutbox({ database });
  const lines: unknown[] = [];
  const logger = pino({ base: null }, { write: (line: string): void => void lines.push(JSON.parse(line)) });
  const relay = createRelay({ database: { url: `sqlite:${file}` }, publisher: new MemoryLog().publisher(), logger });
  onTestFinished(async () => {
    await relay.stop();
    await outbox.close();
    database.close();
    await rm(folder, { recursive: true });
  });
  await outbox.migrate();
  await relay.start();
  expect(lines).toContainEqual(
    expect.objectContaining({ level: 30, msg: 'The relay runs.', id: expect.stringMatching(/^[0-9a-f]{32}$/), publisher: 'memory' }),
  );
});

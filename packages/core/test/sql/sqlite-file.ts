import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Database, openDatabase } from '../../src/spi.ts';

/** A SQLite file of the test's own: its path, and how to open it as often as needed. All goes when the test ends. */
export async function sqliteFile(): Promise<{ path: string; open(lockWaitTimeoutMs?: number): Promise<Database> }> {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-core-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'test.db');
  return {
    path,
    open: async (lockWaitTimeoutMs = 5_000) => {
      const database = await openDatabase({ url: `sqlite:${path}`, lockWaitTimeoutMs });
      onTestFinished(() => database.close());
      return database;
    },
  };
}

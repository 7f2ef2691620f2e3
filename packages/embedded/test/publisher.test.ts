import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { embedded, embeddedAdmin } from '@txbox/embedded';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { newFolder, newPath } from './fixture/log-folder.ts';

const record = (value: string): { key: null; value: Buffer; headers: [] } => ({ key: null, value: Buffer.from(value), headers: [] });

describe('embedded', () => {
  it('names every bad option in one error', () => {
    const bad = { path: '', maxRecordBytes: 0, synchronous: 'off', color: 1 } as unknown as Parameters<typeof embedded>[0];
    expect(() => embedded(bad)).toThrow(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        message: expect.stringMatching(/color.*path.*maxRecordBytes.*synchronous/s) as string,
      }),
    );
  });

  it('says that the folder is missing, and connects once it is there', async () => {
    const folder = await newFolder();
    const publisher = embedded({ path: join(folder, 'later', 'log.db') });
    await expect(publisher.connect()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await mkdir(join(folder, 'later'));
    await publisher.connect();
    await publisher.close();
  });

  it('refuses a file that belongs to another application, and leaves it as it was', async () => {
    const path = await newPath();
    const other = new Sqlite(path);
    other.exec('CREATE TABLE theirs (id INTEGER)');
    other.close();
    const publisher = embedded({ path });
    await expect(publisher.connect()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', retryable: false });
    await publisher.close();
    const after = new Sqlite(path);
    expect(after.prepare('SELECT name FROM sqlite_schema').pluck().all()).toEqual(['theirs']);
    after.close();
  });

  it('waits for another writer without stopping the event loop', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('t', { partitions: 1 });
    const publisher = embedded({ path });
    await publisher.connect();
    const other = new Sqlite(path);
    other.exec('BEGIN IMMEDIATE');
    const publishing = publisher.publish({ topic: 't', partition: 0, records: [record('a')] });
    // The lock is given up by this very event loop: a blocked one would never get here.
    await new Promise((resolve) => setImmediate(resolve));
    other.exec('ROLLBACK');
    expect((await publishing).baseOffset).toBe(0n);
    other.close();
    await publisher.close();
    await admin.close();
  });

  it('gives up on a writer that does not end: transient, and nothing is stored', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('t', { partitions: 1 });
    const publisher = embedded({ path, busyTimeoutMs: 30 });
    await publisher.connect();
    const other = new Sqlite(path);
    other.exec('BEGIN IMMEDIATE');
    const failure: unknown = await publisher.publish({ topic: 't', partition: 0, records: [record('a')] }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(publisher.classify(failure)).toBe('transient');
    other.exec('ROLLBACK');
    other.close();
    expect(await admin.readAll('t')).toEqual([]);
    await publisher.close();
    await admin.close();
  });

  it('refuses a partition beyond the topic, as a failure of the topic', async () => {
    const path = await newPath();
    const admin = embeddedAdmin({ path });
    await admin.createTopic('t', { partitions: 2 });
    const publisher = embedded({ path });
    const failure: unknown = await publisher.publish({ topic: 't', partition: 2, records: [record('a')] }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'TOPIC_SHRUNK' });
    expect(publisher.classify(failure)).toBe('topic');
    await publisher.close();
    await admin.close();
  });

  it('refuses to work after close, which may be called twice', async () => {
    const path = await newPath();
    const publisher = embedded({ path });
    await publisher.connect();
    await publisher.close();
    await publisher.close();
    await expect(publisher.describeTopic('t')).rejects.toMatchObject({ code: 'STOPPED' });
  });
});

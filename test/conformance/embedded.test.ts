import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedAdmin, embedded, embeddedAdmin, embeddedSource } from '@txbox/embedded';
import { messageSourceSuite, publisherSuite } from '@txbox/testing/conformance';
import Sqlite from 'better-sqlite3';

interface LogFolder {
  readonly path: string;
  readonly admin: EmbeddedAdmin;
  createTopic(name: string, partitions: number): Promise<void>;
  dispose(): Promise<void>;
}

async function logFolder(): Promise<LogFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-log-'));
  const path = join(folder, 'log.db');
  const admin = embeddedAdmin({ path });
  return {
    path,
    admin,
    createTopic: async (name, partitions) => await admin.createTopic(name, { partitions }),
    dispose: async () => {
      await admin.close();
      await rm(folder, { recursive: true });
    },
  };
}

publisherSuite(
  'embedded',
  async () => {
    const log = await logFolder();
    const publisher = embedded({ path: log.path });
    return {
      publisher,
      createTopic: log.createTopic,
      readAll: async (topic) => await log.admin.readAll(topic),
      unreachable: () => embedded({ path: join(log.path, 'no', 'such', 'folder.db') }),
      dispose: async () => {
        await publisher.close();
        await log.dispose();
      },
    };
  },
  { lacks: { 'topic-admin': 'the partitions of a log in one file, for development, are made with the topic' } },
);

messageSourceSuite('embedded', async () => {
  const log = await logFolder();
  const publisher = embedded({ path: log.path });
  return {
    publisher,
    createTopic: log.createTopic,
    source: () => embeddedSource({ path: log.path }),
    expelFirst: async (group) => await handOver(log.path, group),
    dispose: async () => {
      await publisher.close();
      await log.dispose();
    },
  };
});

/** What the second member does when the first one's session is over, with the waiting left out. */
async function handOver(path: string, group: string): Promise<void> {
  const file = new Sqlite(path);
  const members = file.prepare<[string], { id: string; held: number }>(
    `SELECT m.id, (SELECT count(*) FROM assignment a WHERE a.group_name = m.group_name AND a.member = m.id) AS held
     FROM member m WHERE m.group_name = ? ORDER BY held DESC`,
  );
  let found = members.all(group);
  while (found.length < 2) {
    await new Promise((resolve) => setImmediate(resolve));
    found = members.all(group);
  }
  const [first, second] = found as unknown as [{ id: string }, { id: string }];
  file.transaction(() => {
    file
      .prepare('UPDATE assignment SET member = ?, generation = generation + 1 WHERE group_name = ? AND member = ?')
      .run(second.id, group, first.id);
    // Both look after the group at once when they find themselves gone, and only one has a lane.
    file.prepare('DELETE FROM member WHERE group_name = ?').run(group);
  })();
  file.close();
}

import { checkOptions, type Delivery, integerWithin, systemClock, type TopicDescription, text } from '@txbox/core/spi';
import { createTopic, deleteTopic, listTopics, readTopic } from './log.ts';
import { LogFile } from './log-file.ts';

/** What {@link embeddedAdmin} takes. */
export interface EmbeddedAdminOptions {
  /** The log's file; made when it is not there. */
  readonly path: string;
}

/** Topics of a log, and a look at what is in them. */
export interface EmbeddedAdmin {
  /** Creates a topic. Does nothing when it is there with as many partitions; `OPTIONS_INVALID` when it has others. */
  createTopic(name: string, options: { readonly partitions: number }): Promise<void>;
  /** Deletes a topic with its records and every group's place in it. Rejects with `TOPIC_MISSING`. */
  deleteTopic(name: string): Promise<void>;
  /** All topics, by name. */
  topics(): Promise<TopicDescription[]>;
  /**
   * Every record of a topic, partition by partition, each in order: one snapshot, through a read-only connection of its
   * own and without any group. All of it is in memory at once. Rejects with `TOPIC_MISSING`.
   */
  readAll(topic: string): Promise<Delivery[]>;
  /** May be called twice. */
  close(): Promise<void>;
}

const FILE = { synchronous: 'normal', busyTimeoutMs: 10_000 } as const;

/** Administers a log in a SQLite file. */
export function embeddedAdmin(options: EmbeddedAdminOptions): EmbeddedAdmin {
  const { path } = checkOptions<EmbeddedAdminOptions>('embeddedAdmin', options, { rules: { path: text } });
  const file = new LogFile({ path, ...FILE }, systemClock);
  return {
    createTopic: async (name, topic) => {
      const { partitions } = checkOptions<{ partitions: number }>('createTopic', topic, { rules: { partitions: integerWithin(1, 1024) } });
      await file.write((log) => createTopic(log, name, partitions));
    },
    deleteTopic: async (name) => await file.write((log) => deleteTopic(log, name)),
    topics: async () => await file.read(listTopics),
    readAll: async (topic) => {
      await file.open();
      const reading = new LogFile({ path, ...FILE, readonly: true }, systemClock);
      try {
        return await reading.read((log) => readTopic(log, topic));
      } finally {
        await reading.close();
      }
    },
    close: async () => await file.close(),
  };
}

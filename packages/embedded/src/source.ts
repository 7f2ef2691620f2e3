import { randomUUID } from 'node:crypto';
import { checkOptions, integerWithin, type MessageSource, systemClock, text } from '@txbox/core/spi';
import { LONGEST_SESSION_MS, type Member } from './group.ts';
import { clusterId, findTopic } from './log.ts';
import { LogFile } from './log-file.ts';
import { ownProcess } from './process-liveness.ts';
import { EmbeddedSubscription } from './subscription.ts';

/** What {@link embeddedSource} takes. */
export interface EmbeddedSourceOptions {
  /** The log's file; made when it is not there. */
  readonly path: string;
  /**
   * After this long without a sign of life a member's lanes go to others, milliseconds. Default 10,000. A member whose
   * process is seen to be dead (same machine) loses them within a fraction of a second.
   */
  readonly sessionTimeoutMs?: number;
  /** Pause between looks for new records, milliseconds. Default 20. */
  readonly pollMs?: number;
  /** How long an operation waits for the file's single writer before it fails, milliseconds. Default 10,000. */
  readonly busyTimeoutMs?: number;
}

/**
 * A message source that reads the log of `embedded`. Groups, members and checkpoints live in the same file; a killed
 * member's lanes move to the others, which go on after its last checkpoint.
 *
 * Throws `OPTIONS_INVALID`. Needs the package `better-sqlite3` (`DEPENDENCY_MISSING` at the first call).
 */
export function embeddedSource(options: EmbeddedSourceOptions): MessageSource {
  const { path, sessionTimeoutMs, pollMs, busyTimeoutMs } = checkOptions<Required<EmbeddedSourceOptions>>('embeddedSource', options, {
    rules: {
      path: text,
      sessionTimeoutMs: integerWithin(500, LONGEST_SESSION_MS),
      pollMs: integerWithin(1),
      busyTimeoutMs: integerWithin(0),
    },
    defaults: { sessionTimeoutMs: 10_000, pollMs: 20, busyTimeoutMs: 10_000 },
    across: ({ pollMs: poll, sessionTimeoutMs: session }, report) => {
      if (poll * 3 > session) report(`pollMs must be at most a third of sessionTimeoutMs (${session}), got ${poll}`);
    },
  });
  const file = new LogFile({ path, synchronous: 'normal', busyTimeoutMs }, systemClock);
  const subscriptions = new Set<EmbeddedSubscription>();
  return {
    name: 'embedded',
    clusterId: async () => await file.read(clusterId),
    subscribe: async (subscribe) => {
      const me: Member = { group: subscribe.group, id: randomUUID(), process: ownProcess(), topics: [...new Set(subscribe.topics)] };
      await file.read((log) => {
        for (const topic of me.topics) findTopic(log, topic);
      });
      const subscription = new EmbeddedSubscription(file, systemClock, me, subscribe, { sessionTimeoutMs, pollMs });
      subscriptions.add(subscription);
      void subscription.done.then(() => subscriptions.delete(subscription));
      return subscription;
    },
    close: async () => {
      await Promise.all([...subscriptions].map(async (subscription) => await subscription.stop()));
      await file.close();
    },
  };
}

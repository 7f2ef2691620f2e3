import {
  checkOptions,
  headerBlockBytes,
  integerWithin,
  isTxboxError,
  type OptionChecks,
  oneOf,
  type Publisher,
  type PublishFailureKind,
  systemClock,
  TxboxError,
  text,
  type WireRecord,
} from '@txbox/core/spi';
import { append, findTopic } from './log.ts';
import { LogFile } from './log-file.ts';

/** What {@link embedded} takes. */
export interface EmbeddedOptions {
  /** The log's file; made when it is not there. Two more files appear beside it (`-wal`, `-shm`). A local disk only. */
  readonly path: string;
  /** Largest record (key, value and headers), bytes. Default 1,048,576. */
  readonly maxRecordBytes?: number;
  /**
   * `normal` (default): what was acknowledged survives the death of every process, at any point; the loss of power
   * may take the last moments with it. `full`: it survives that too, at one disk synchronisation per request.
   */
  readonly synchronous?: 'normal' | 'full';
  /** How long a request waits for the file's single writer before it fails, milliseconds. Default 10,000. */
  readonly busyTimeoutMs?: number;
}

/** Rules and defaults of {@link EmbeddedOptions}. */
export const EMBEDDED_OPTIONS: OptionChecks<Required<EmbeddedOptions>> = {
  rules: { path: text, maxRecordBytes: integerWithin(1), synchronous: oneOf('normal', 'full'), busyTimeoutMs: integerWithin(0) },
  defaults: { maxRecordBytes: 1_048_576, synchronous: 'normal', busyTimeoutMs: 10_000 },
};

/**
 * A publisher into a log in one SQLite file: a broker for development, tests and demonstrations. Several processes may
 * use the file at once, and any of them may be killed at any point; what was acknowledged stays. No claims of scale.
 *
 * Throws `OPTIONS_INVALID`. Needs the package `better-sqlite3` (`DEPENDENCY_MISSING` at `connect`).
 */
export function embedded(options: EmbeddedOptions): Publisher {
  const { path, maxRecordBytes, synchronous, busyTimeoutMs } = checkOptions('embedded', options, EMBEDDED_OPTIONS);
  const file = new LogFile({ path, synchronous, busyTimeoutMs }, systemClock);
  return {
    name: 'embedded',
    maxRecordBytes,
    connect: async () => await file.open(),
    describeTopic: async (topic) => ({ topic, partitions: await file.read((log) => findTopic(log, topic).partitions) }),
    // A file has no replicas, and nobody else decides about topics; a request that waits for the file gives up then.
    inspect: async (topics) => ({
      acks: -1,
      givesUpAfterMs: busyTimeoutMs,
      topics: await Promise.all(topics.map(async (topic) => ({ topic, state: await stateOf(file, topic) }))),
      unchecked: [],
    }),
    publish: async ({ topic, partition, records }) => {
      for (const record of records) refuseTooLarge(record, maxRecordBytes, topic);
      const baseOffset = await file.write((log) => append(log, topic, partition, records, systemClock.now()));
      return { topic, partition, baseOffset: BigInt(baseOffset) };
    },
    classify,
    close: async () => await file.close(),
  };
}

async function stateOf(file: LogFile, topic: string): Promise<'there' | 'missing'> {
  try {
    await file.read((log) => findTopic(log, topic));
    return 'there';
  } catch (error) {
    if (isTxboxError(error, 'TOPIC_MISSING')) return 'missing';
    throw error;
  }
}

function classify(error: unknown): PublishFailureKind {
  if (isTxboxError(error, 'PUBLISH_REJECTED')) return 'record';
  if (isTxboxError(error, 'TOPIC_MISSING') || isTxboxError(error, 'TOPIC_SHRUNK')) return 'topic';
  return 'transient';
}

function refuseTooLarge(record: WireRecord, maxRecordBytes: number, topic: string): void {
  const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0) + headerBlockBytes(record.headers);
  if (bytes <= maxRecordBytes) return;
  throw new TxboxError(
    'PUBLISH_REJECTED',
    `A record for topic ${topic} has ${bytes} bytes, more than maxRecordBytes (${maxRecordBytes}).`,
    {
      details: { topic, bytes, maxRecordBytes },
    },
  );
}

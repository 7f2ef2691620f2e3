import { Connection, fetchV11, type RecordsBatch } from '@platformatic/kafka';
import type { Delivery } from '@txbox/core/spi';

const MAX_BYTES = 16_000_000;

/**
 * Batches of each lane of a topic, as they lie in the log of a cluster of one broker, by bare fetch requests of
 * @platformatic/kafka: the only way to see the order of all headers, and how batches were packed.
 */
export async function readBatches(broker: string, topic: string, partitions: number): Promise<RecordsBatch[][]> {
  const [host = '', port] = broker.split(':');
  const connection = new Connection('conformance');
  await connection.connect(host, Number(port));
  const lanes = Array.from({ length: partitions }, async (_, partition) => await readLane(connection, topic, partition));
  return await Promise.all(lanes).finally(async () => await connection.close());
}

/** Every record of a topic, lane by lane. */
export async function readLog(broker: string, topic: string, partitions: number): Promise<Delivery[]> {
  const lanes = await readBatches(broker, topic, partitions);
  return lanes.flatMap((batches, partition) =>
    batches.flatMap(({ firstOffset, firstTimestamp, records }) =>
      records.map(({ offsetDelta, timestampDelta, key, value, headers }) => ({
        topic,
        partition,
        offset: firstOffset + BigInt(offsetDelta),
        key,
        value,
        headers: headers.map(([name, value]): [string, Buffer] => [String(name), value ?? Buffer.alloc(0)]),
        timestamp: Number(firstTimestamp + timestampDelta),
      })),
    ),
  );
}

async function readLane(connection: Connection, topic: string, partition: number): Promise<RecordsBatch[]> {
  const found: RecordsBatch[] = [];
  for (let next = 0n; ; ) {
    const lane = { partition, currentLeaderEpoch: -1, fetchOffset: next, partitionMaxBytes: MAX_BYTES, lastFetchedEpoch: -1 };
    const { responses } = await fetchV11.api.async(connection, 0, 0, MAX_BYTES, 0, 0, -1, [{ topicId: topic, partitions: [lane] }], [], '');
    const answer = responses[0]?.partitions[0];
    if (!answer || next >= answer.highWatermark) return found;
    // A fetch from within a batch gives the whole batch; none is asked for here.
    found.push(...(answer.records ?? []));
    const last = found.at(-1);
    next = last ? last.firstOffset + BigInt(last.lastOffsetDelta) + 1n : answer.highWatermark;
  }
}

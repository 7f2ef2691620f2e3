import { Connection, fetchV11 } from '@platformatic/kafka';
import type { Delivery } from '@txbox/core/spi';

const MAX_BYTES = 16_000_000;

/** Every record of a topic of one broker, lane by lane, by bare fetch requests of @platformatic/kafka: the only way to see the order of all headers. */
export async function readLog(broker: string, topic: string, partitions: number): Promise<Delivery[]> {
  const [host = '', port] = broker.split(':');
  const connection = new Connection('conformance');
  await connection.connect(host, Number(port));
  const lanes = await Promise.all(
    Array.from({ length: partitions }, async (_, partition) => await readLane(connection, topic, partition)),
  ).finally(async () => await connection.close());
  return lanes.flat();
}

async function readLane(connection: Connection, topic: string, partition: number): Promise<Delivery[]> {
  const found: Delivery[] = [];
  for (;;) {
    const next = BigInt(found.length);
    const lane = { partition, currentLeaderEpoch: -1, fetchOffset: next, partitionMaxBytes: MAX_BYTES, lastFetchedEpoch: -1 };
    const { responses } = await fetchV11.api.async(connection, 0, 0, MAX_BYTES, 0, 0, -1, [{ topicId: topic, partitions: [lane] }], [], '');
    const answer = responses[0]?.partitions[0];
    if (!answer || next >= answer.highWatermark) return found;
    found.push(...deliveriesOf(answer, topic, next));
  }
}

function deliveriesOf({ partitionIndex, records }: fetchV11.FetchResponsePartition, topic: string, from: bigint): Delivery[] {
  return (records ?? [])
    .flatMap(({ firstOffset, firstTimestamp, records }) =>
      records.map((record) => ({
        topic,
        partition: partitionIndex,
        offset: firstOffset + BigInt(record.offsetDelta),
        key: record.key,
        value: record.value,
        headers: record.headers.map(([name, value]): [string, Buffer] => [String(name), value ?? Buffer.alloc(0)]),
        timestamp: Number(firstTimestamp + record.timestampDelta),
      })),
    )
    .filter(({ offset }) => offset >= from);
}

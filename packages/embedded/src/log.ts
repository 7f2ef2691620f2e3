import { type Delivery, decodeHeaders, encodeHeaders, type TopicDescription, TxboxError, type WireRecord } from '@txbox/core/spi';
import type { LogFile } from './log-file.ts';
import { LANE_SPAN, MAX_LANES } from './schema.ts';

/** Kafka's own rule for names of topics, so that what works here works there. */
const TOPIC_NAME = /^[A-Za-z0-9._-]{1,249}$/;

type RecordRow = readonly [place: number, key: Buffer | null, value: Buffer | null, headers: Buffer, timestamp: number];

/** What messages of a lane are read for. */
export interface LaneRead {
  readonly topic: string;
  readonly partition: number;
  readonly lane: number;
  readonly fromOffset: number;
  readonly maxRecords: number;
  /** Reading ends behind the record that crosses this bound. */
  readonly maxBytes: number;
}

export function clusterId(file: LogFile): string {
  return (file.row<[string]>('SELECT cluster_id FROM meta') as [string])[0];
}

export function listTopics(file: LogFile): TopicDescription[] {
  return file
    .rows<[string, number]>('SELECT name, partitions FROM topic ORDER BY name')
    .map(([topic, partitions]) => ({ topic, partitions }));
}

/** Throws `TOPIC_MISSING`. */
export function findTopic(file: LogFile, name: string): { readonly id: number; readonly partitions: number } {
  const found = file.row<[number, number]>('SELECT id, partitions FROM topic WHERE name = ?', name);
  if (found) return { id: found[0], partitions: found[1] };
  throw new TxboxError(
    'TOPIC_MISSING',
    `Topic ${JSON.stringify(name)} does not exist in this log, and publishing never creates one. Create it: embeddedAdmin({ path }).createTopic(name, { partitions }).`,
    { details: { topic: name } },
  );
}

/** Creates the topic with its lanes, unless it is there with as many partitions. */
export function createTopic(file: LogFile, name: string, partitions: number): void {
  if (!TOPIC_NAME.test(name)) {
    throw new TxboxError(
      'OPTIONS_INVALID',
      `A topic's name has 1 to 249 letters, digits, dots, dashes and underscores, got ${JSON.stringify(name)}.`,
    );
  }
  const found = file.row<[number]>('SELECT partitions FROM topic WHERE name = ?', name);
  if (found) {
    if (found[0] === partitions) return;
    throw new TxboxError('OPTIONS_INVALID', `Topic ${name} exists with ${found[0]} partitions, not ${partitions}.`, {
      details: { topic: name },
    });
  }
  file.run('INSERT INTO topic (name, partitions) VALUES (?, ?)', name, partitions);
  const { id } = findTopic(file, name);
  for (let partition = 0; partition < partitions; partition++) file.run('INSERT INTO lane (topic, partition) VALUES (?, ?)', id, partition);
  const [last] = file.row<[number]>('SELECT max(id) FROM lane') as [number];
  if (last >= MAX_LANES)
    throw new TxboxError('OPTIONS_INVALID', `A log file numbers at most ${MAX_LANES} partitions in its life; begin a new file.`);
}

/** Deletes the topic, its records and every group's place in it. Throws `TOPIC_MISSING`. */
export function deleteTopic(file: LogFile, name: string): void {
  const { id } = findTopic(file, name);
  for (const [lane] of file.rows<[number]>('SELECT id FROM lane WHERE topic = ?', id)) {
    file.run('DELETE FROM record WHERE place >= ? AND place < ?', lane * LANE_SPAN, (lane + 1) * LANE_SPAN);
  }
  file.run('DELETE FROM topic WHERE id = ?', id);
}

/** Appends the records to their lane and returns the first one's offset. Throws `TOPIC_MISSING` and `TOPIC_SHRUNK`. */
export function append(file: LogFile, topic: string, partition: number, records: readonly WireRecord[], now: number): number {
  const lane = file.row<[number, number]>(
    'SELECT l.id, l.next_offset FROM topic t JOIN lane l ON l.topic = t.id WHERE t.name = ? AND l.partition = ?',
    topic,
    partition,
  );
  if (!lane) {
    const { partitions } = findTopic(file, topic);
    throw new TxboxError(
      'TOPIC_SHRUNK',
      `Topic ${topic} has ${partitions} partitions (0 to ${partitions - 1}), got a request for partition ${partition}.`,
      {
        details: { topic, partition, partitions },
      },
    );
  }
  const [id, baseOffset] = lane;
  const insert = file.prepare('INSERT INTO record (place, key, value, headers, timestamp) VALUES (?, ?, ?, ?, ?)');
  let place = id * LANE_SPAN + baseOffset;
  for (const record of records) insert.run(place++, record.key, record.value, encodeHeaders(record.headers), now);
  file.run('UPDATE lane SET next_offset = ? WHERE id = ?', baseOffset + records.length, id);
  return baseOffset;
}

/** Records of one lane in order, from an offset on. */
export function readLane(file: LogFile, request: LaneRead): Delivery[] {
  const { topic, partition, lane, fromOffset, maxRecords, maxBytes } = request;
  const deliveries: Delivery[] = [];
  let bytes = 0;
  const rows = file
    .prepare('SELECT place, key, value, headers, timestamp FROM record WHERE place >= ? AND place < ? ORDER BY place LIMIT ?')
    .iterate(lane * LANE_SPAN + fromOffset, (lane + 1) * LANE_SPAN, maxRecords) as Iterable<RecordRow>;
  for (const [place, key, value, headers, timestamp] of rows) {
    deliveries.push({ topic, partition, offset: BigInt(place - lane * LANE_SPAN), key, value, headers: decodeHeaders(headers), timestamp });
    bytes += (key?.length ?? 0) + (value?.length ?? 0) + headers.length;
    if (bytes >= maxBytes) break;
  }
  return deliveries;
}

/** Every record of a topic, lane by lane. Throws `TOPIC_MISSING`. */
export function readTopic(file: LogFile, topic: string): Delivery[] {
  const { id } = findTopic(file, topic);
  const lanes = file.rows<[number, number]>('SELECT id, partition FROM lane WHERE topic = ? ORDER BY partition', id);
  return lanes.flatMap(([lane, partition]) =>
    readLane(file, { topic, partition, lane, fromOffset: 0, maxRecords: -1, maxBytes: Number.POSITIVE_INFINITY }),
  );
}

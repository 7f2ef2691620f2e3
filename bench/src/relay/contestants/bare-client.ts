import { bucketOf, type WireRecord } from '@txbox/core/spi';
import type { BareClient, ClientMessage } from '../bare-client.ts';
import { BATCH_ROWS, PARTITIONS } from '../bench-site.ts';
import { type Contestant, machineNow } from '../contestant.ts';

/**
 * The client alone, with the messages made before anything is measured: requests of one partition, one unanswered request a
 * partition, partitions side by side.
 */
export function bareClientContestant(client: BareClient, topic: string, records: readonly WireRecord[]): Contestant {
  const lanes: ClientMessage[][] = Array.from({ length: PARTITIONS }, () => []);
  const messages = records.map((record) => {
    const partition = bucketOf(record.key as Buffer, PARTITIONS);
    return { partition, message: client.messageOf(topic, record, partition) };
  });
  let next = 0;
  return {
    begin: async () => undefined,
    drained: async (rows) => {
      for (const lane of lanes) lane.length = 0;
      for (let at = 0; at < rows; at += 1) {
        const { partition, message } = messages[at % messages.length] as (typeof messages)[number];
        lanes[partition]?.push(message);
      }
      await Promise.all(lanes.map((lane) => sendLane(client, topic, lane)));
    },
    sendOne: async () => {
      const { message } = messages[next++ % messages.length] as (typeof messages)[number];
      const startedAt = machineNow();
      await client.send(topic, [message]);
      return machineNow() - startedAt;
    },
    end: async () => undefined,
  };
}

async function sendLane(client: BareClient, topic: string, lane: readonly ClientMessage[]): Promise<void> {
  for (let from = 0; from < lane.length; from += BATCH_ROWS) await client.send(topic, lane.slice(from, from + BATCH_ROWS));
}

// The configuration with which `txbox relay start` runs in a process of its own: a relay with its defaults, whose publisher tells the
// bench of each request.
import type { Publisher } from '@txbox/core/spi';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { machineNow } from './contestant.ts';
import type { SidecarNote, SidecarSettings } from './sidecar.ts';

const { databaseUrl, brokers } = JSON.parse(process.env['TXBOX_BENCH_SIDECAR'] as string) as SidecarSettings;
const tell = (note: SidecarNote): void => void process.send?.(note);
// The bench is gone, and with it whoever could end this. Waiting for that keeps nothing alive.
process.on('disconnect', () => process.exit());
process.channel?.unref();

function observed(publisher: Publisher): Publisher {
  let requests = 0;
  return {
    name: publisher.name,
    maxRecordBytes: publisher.maxRecordBytes,
    connect: () => publisher.connect(),
    describeTopic: (topic) => publisher.describeTopic(topic),
    publish: async (request) => {
      const number = requests++;
      tell({ number, partition: request.partition, begunAt: machineNow(), events: request.records.map(({ value }) => String(value)) });
      const receipt = await publisher.publish(request);
      tell({ number, answeredAt: machineNow() });
      return receipt;
    },
    ...(publisher.inspect && { inspect: (topics: readonly string[]) => (publisher.inspect as NonNullable<Publisher['inspect']>)(topics) }),
    classify: (error) => publisher.classify(error),
    close: () => publisher.close(),
  };
}

export default {
  database: { url: databaseUrl },
  publisher: observed(kafkajs({ brokers: [...brokers] })),
};

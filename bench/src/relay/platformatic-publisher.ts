import { type MessageToProduce, ProduceAcks, Producer } from '@platformatic/kafka';
import { type Publisher, TxboxError } from '@txbox/core/spi';

/** The least publisher on @platformatic/kafka that a relay can be measured with. */
export function platformaticPublisher(brokers: readonly string[]): Publisher {
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [...brokers], autocreateTopics: false });
  const names = new Map<string, Buffer>();
  const nameOf = (name: string): Buffer => {
    const known = names.get(name) ?? Buffer.from(name);
    names.set(name, known);
    return known;
  };
  return {
    name: 'platformatic',
    maxRecordBytes: 1_048_000,
    connect: async () => void (await producer.metadata({ topics: [] })),
    describeTopic: async (topic) => {
      const found = (await producer.metadata({ topics: [topic] })).topics.get(topic);
      if (!found) throw new TxboxError('TOPIC_MISSING', `There is no topic ${topic}.`);
      return { topic, partitions: found.partitionsCount };
    },
    publish: async ({ topic, partition, records }) => {
      const messages = records.map(({ key, value, headers }) => {
        const map = new Map<Buffer, Buffer>();
        for (const [name, bytes] of headers) map.set(nameOf(name), bytes);
        const message: MessageToProduce<Buffer, Buffer, Buffer, Buffer> = { topic, partition, headers: map };
        if (key) message.key = key;
        if (value) message.value = value;
        return message;
      });
      const { offsets = [] } = await producer.send({ acks: ProduceAcks.ALL, messages });
      const [only] = offsets;
      if (offsets.length !== 1 || !only)
        throw new TxboxError('PUBLISH_UNKNOWN', `No acknowledgement for partition ${partition} of ${topic}.`);
      return { topic: only.topic, partition: only.partition, baseOffset: only.offset };
    },
    classify: () => 'transient',
    close: () => producer.close(),
  };
}

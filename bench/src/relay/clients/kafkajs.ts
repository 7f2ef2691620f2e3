import { Kafka, logLevel, type Message, Partitioners } from 'kafkajs';
import { type BareClient, headersByName } from '../bare-client.ts';

export async function bareKafkajs(brokers: readonly string[]): Promise<BareClient> {
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING });
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false });
  await producer.connect();
  return {
    messageOf: (_topic, { key, value, headers }, partition) => ({
      key,
      value,
      headers: headersByName(headers),
      ...(partition === undefined ? {} : { partition }),
    }),
    send: async (topic, messages) => void (await producer.send({ topic, acks: -1, messages: messages as Message[] })),
    close: () => producer.disconnect(),
  };
}

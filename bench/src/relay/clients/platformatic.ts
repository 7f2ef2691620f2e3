import { type MessageToProduce, ProduceAcks, Producer } from '@platformatic/kafka';
import type { BareClient } from '../bare-client.ts';

type PlatformaticMessage = MessageToProduce<Buffer, Buffer, Buffer, Buffer>;

export async function barePlatformatic(brokers: readonly string[]): Promise<BareClient> {
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [...brokers], autocreateTopics: false });
  const names = new Map<string, Buffer>();
  const nameOf = (name: string): Buffer => {
    const known = names.get(name) ?? Buffer.from(name);
    names.set(name, known);
    return known;
  };
  return {
    messageOf: (topic, { key, value, headers }, partition) => {
      const message: PlatformaticMessage = { topic, headers: new Map(headers.map(([name, bytes]) => [nameOf(name), bytes])) };
      if (key) message.key = key;
      if (value) message.value = value;
      if (partition !== undefined) message.partition = partition;
      return message;
    },
    send: async (_topic, messages) => void (await producer.send({ acks: ProduceAcks.ALL, messages: messages as PlatformaticMessage[] })),
    close: () => producer.close(),
  };
}

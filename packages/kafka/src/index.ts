export type { KafkaCompression, KafkaConnectionOptions, KafkaPublisherOptions, KafkaSasl } from './kafka-options.ts';

export type { KafkaConnectionOptions, KafkaSasl } from './kafka-options.ts';

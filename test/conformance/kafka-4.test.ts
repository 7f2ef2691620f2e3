import { kafkaSuites } from './kafka-backend.ts';

kafkaSuites('Kafka 4.4', 'TXBOX_TEST_KAFKA_BROKERS', 'kafka');

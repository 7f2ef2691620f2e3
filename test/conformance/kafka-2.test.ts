import { kafkaSuites } from './kafka-backend.ts';

kafkaSuites('Kafka 2.8', 'TXBOX_TEST_KAFKA28_BROKERS', 'kafka28');

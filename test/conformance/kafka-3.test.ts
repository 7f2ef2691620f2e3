import { kafkaSuites } from './kafka-backend.ts';

kafkaSuites('Kafka 3.2', 'TXBOX_TEST_KAFKA32_BROKERS', 'kafka32');

import { kafkaSuites } from '../conformance/kafka-backend.ts';

kafkaSuites('Kafka 2.4', 'TXBOX_TEST_KAFKA24_BROKERS', 'kafka24');

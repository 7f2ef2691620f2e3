import { defineConfig } from '@txbox/cli';
import { kafkajs } from '@txbox/kafka/kafkajs';

export default defineConfig({
  database: { url: process.env.DATABASE_URL ?? '' }, // with the password: from a secret
  publisher: kafkajs({ brokers: (process.env.KAFKA_BROKERS ?? '').split(','), clientId: 'orders-relay' }),
  relay: { leaseTtlMs: 10_000 },
  http: { host: '0.0.0.0', port: 9464 }, // probes and Prometheus come from outside of the container
});

export { type KafkajsPublisherOptions, kafkajs } from './publishers/kafkajs.ts';

export { type KafkajsPublisherOptions, kafkajs } from './publishers/kafkajs.ts';
export { type KafkajsSourceOptions, kafkajsSource } from './sources/kafkajs.ts';

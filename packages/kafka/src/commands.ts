import { type PublisherKind, publisherKind } from '@txbox/core/spi';
import { KAFKAJS_OPTIONS, kafkajs } from './publishers/kafkajs.ts';
import { PLATFORMATIC_OPTIONS, platformatic } from './publishers/platformatic.ts';

/** Publishers that a configuration can describe as data. */
export const publishers: readonly PublisherKind[] = [
  publisherKind('kafkajs', kafkajs, KAFKAJS_OPTIONS),
  publisherKind('platformatic', platformatic, PLATFORMATIC_OPTIONS),
];

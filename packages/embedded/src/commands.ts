import { type PublisherKind, publisherKind } from '@txbox/core/spi';
import { EMBEDDED_OPTIONS, embedded } from './publisher.ts';

/** Publishers that a configuration can describe as data. */
export const publishers: readonly PublisherKind[] = [publisherKind('embedded', embedded, EMBEDDED_OPTIONS)];

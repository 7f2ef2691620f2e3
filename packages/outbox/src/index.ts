export { Transactional, type TransactionalOptions } from '@txbox/core';
export { Outbox, type OutboxFlavour } from './outbox.ts';
export type { OutboxOptions } from './outbox-options.ts';
export { type PayloadMapper, type PayloadsMapper, Publishes, PublishesEach, type PublishesOptions } from './publishes.ts';

export { MemoryInboxStore, MemoryInboxTransaction } from './memory/memory-inbox-store.ts';
export { MemoryLeaseStore } from './memory/memory-lease-store.ts';
export { MemoryLog, type MemoryPublisherOptions, type PublishFaults } from './memory/memory-log.ts';
export { MemoryOutbox, type MemoryOutboxOptions, MemoryOutboxTransaction } from './memory/memory-outbox.ts';

export { type ArchiveBackend, archiveSuite } from './conformance/archive-suite.ts';
export { type InboxStoreBackend, type InboxStoreFeature, type InboxTransaction, inboxStoreSuite } from './conformance/inbox-store-suite.ts';
export { type LeaseStoreBackend, type LeaseStoreFeature, leaseStoreSuite } from './conformance/lease-store-suite.ts';
export { type MessageSourceBackend, type MessageSourceFeature, messageSourceSuite } from './conformance/message-source-suite.ts';
export type { OutboxStoreBackend, OutboxStoreFeature, OutboxTransaction } from './conformance/outbox-store-backend.ts';
export { outboxStoreSuite } from './conformance/outbox-store-suite.ts';
export { type ParkingBackend, parkingSuite } from './conformance/parking-suite.ts';
export { type PublisherBackend, type PublisherFeature, publisherSuite } from './conformance/publisher-suite.ts';
export type { ConformanceGap, ConformanceRecord, SuiteOptions } from './conformance/suite.ts';

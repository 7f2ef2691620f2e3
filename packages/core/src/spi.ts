export { DATABASE_SECTION, type DatabaseSection, databaseSection } from './commands/database-section.ts';
export type { Codec } from './contract/codec.ts';
export { decodeMessage, decodePayload, headerOf } from './contract/decode-message.ts';
export { encodeMessage } from './contract/encode-message.ts';
export { type Envelope, envelopeRule, sourceOf } from './contract/envelope.ts';
export { type EventDefinition, noEventBecause, type PayloadInputOf, type PayloadOf } from './contract/event.ts';
export { decodeHeaders, encodeHeaders, headerBlockBytes } from './contract/header-block.ts';
export { CLOUD_EVENTS_HEADER, HEADER, isReservedHeader } from './contract/headers.ts';
export { jsonCodec } from './contract/json-codec.ts';
export { bucketOf, murmur2 } from './contract/key-hash.ts';
export type { AddOptions, EncodedMessage, HeaderValue, Message } from './contract/message.ts';
export { type MessageId, messageIdFromBytes, messageIdToBytes, newMessageIdBytes } from './contract/message-id.ts';
export { leaseStore } from './lease/lease-sql.ts';
export type { HeldSlot, LeaseRecord, LeaseSlot, LeaseStore } from './lease/lease-store.ts';
export { coreComponent } from './migrations/core-component.ts';
export { type AuditEntry, recordAudit } from './parking/audit-sql.ts';
export type {
  AuditNote,
  DeadLetter,
  DeadLetterFilter,
  DeadLetterHead,
  DeadLetterStore,
  OnRedriven,
  ParkedCount,
} from './parking/dead-letter.ts';
export { deadLetterStore } from './parking/dead-letter-sql.ts';
export { gapMarkerHeaders, parkedKeyId, parkingReason } from './parking/parked-key.ts';
export { inTransaction, lockParkedKey, type ParkedKey, parkKey, unparkIfEmpty } from './parking/parking-sql.ts';
export { type Clock, systemClock } from './runtime/clock.ts';
export type { Command, CommandContext, CommandOption, CommandOutput } from './runtime/command.ts';
export { type ConfigSection, configSection, type NamedOptionChecks, type PublisherKind, publisherKind } from './runtime/config-section.ts';
export { isTxboxError, TxboxError, type TxboxErrorOptions } from './runtime/error.ts';
export { ERROR_CODES, type ErrorCode } from './runtime/error-codes.ts';
export { watchEventLoop } from './runtime/event-loop-delay.ts';
export { Lifecycle, type LifecycleState, type LifecycleWork } from './runtime/lifecycle.ts';
export { defaultLogger, type Logger, silentLogger } from './runtime/logger.ts';
export { type Loop, type LoopOptions, startLoop } from './runtime/loop.ts';
export {
  METRICS_CONTENT_TYPE,
  type MetricDefinition,
  MetricHistogram,
  type MetricKind,
  type MetricLabels,
  Metrics,
  MetricValue,
} from './runtime/metrics.ts';
export { nearestName } from './runtime/nearest-name.ts';
export { type OptionShape, propertiesOf, shapeAt, valueOfText } from './runtime/option-shape.ts';
export {
  callable,
  checkOptions,
  examineOptions,
  flag,
  integerWithin,
  listOf,
  loggerLike,
  type OptionChecks,
  type OptionProblem,
  type OptionRule,
  objectOf,
  objectValue,
  objectWith,
  oneOf,
  orFalse,
  shaped,
  shapeOfOptions,
  text,
  unknownName,
  withoutSecrets,
} from './runtime/options.ts';
export { type BackoffOptions, backoffMs, backoffOption } from './runtime/retry-policy.ts';
export { decodeWake, encodeWake, isWakeHeard, onLocalWake, wakeLocally } from './runtime/wake.ts';
export { createTable, type TableDefinition } from './sql/create-table.ts';
export type { Dialect, SqlErrorKind } from './sql/dialect.ts';
export { mysqlDialect } from './sql/dialects/mysql.ts';
export { sqliteDialect } from './sql/dialects/sqlite.ts';
export type { Migration, MigrationComponent } from './sql/migration.ts';
export { type AppliedMigration, checkSchema, type MigrateOptions, migrate, migrationScript } from './sql/migrator.ts';
export { type DatabaseOptions, openDatabase } from './sql/open-database.ts';
export { type PrunedTable, pruneOlder } from './sql/pruner.ts';
export type { Database, OwnedSession, SqlResult, SqlRow, SqlSession, SqlValue } from './sql/session.ts';
export { type DriverError, driverErrorOf } from './sql/sql-error.ts';
export { instantOfSqlTime, sqlTimeOf } from './sql/sql-time.ts';
export { DEFAULT_TABLE_PREFIX, type TableNames, tableNames, tablePrefix } from './sql/table-names.ts';
export { currentUnit, heldAround, innermostOpenUnit, insideUnit, outsideUnit } from './transaction/current-transaction.ts';
export { doomed, type OnLockTimeout } from './transaction/doom.ts';
export { type EventSink, eventSinkOf, type IdempotencyKey, registerEventSink } from './transaction/event-sink.ts';
export { idempotencyKey } from './transaction/idempotency-key.ts';
export {
  chooseResource,
  chosenOutbox,
  type LiveOutbox,
  type OutboxChoice,
  outboxChoice,
  registerLiveOutbox,
} from './transaction/live-outboxes.ts';
export {
  type AnyMethod,
  type AsyncMethodDecorator,
  isGenerator,
  methodDecorator,
  refuseWithoutParentheses,
} from './transaction/method-decorator.ts';
export { runUnit, type UnitPlan } from './transaction/open-unit.ts';
export { runTransaction, type TransactionCall } from './transaction/run-transaction.ts';
export type { IsolationLevel, Transaction, TransactionOptions } from './transaction/transaction.ts';
export { checkTransactionOptions } from './transaction/transaction-options.ts';
export { Transactional, type TransactionalOptions, type TransactionalPart, transactionalPart } from './transaction/transactional.ts';
export type { Connect, ConnectedUnit, UnitConnection } from './transaction/unit-connection.ts';
export type { Doom, TransactionResource, UnitOfWork, UnitOptions, UnitState } from './transaction/unit-of-work.ts';
export { DEFAULT_UNIT_SETTINGS, type UnitSettings } from './transaction/units/unit-settings.ts';
export type { Delivery, WireHeader } from './transport/delivery.ts';
export type { DeliveryBatch, MessageSource, SubscribeOptions, Subscription } from './transport/message-source.ts';
export type {
  PartitionBounds,
  Publisher,
  PublisherInspection,
  PublishFailureKind,
  PublishReceipt,
  PublishRequest,
  TopicAdmin,
  TopicDescription,
  TopicInspection,
  WireRecord,
} from './transport/publisher.ts';

/**
 * The closed list of error codes. A code is stable, has no prefix and is documented in `docs/errors.md`;
 * a test compares both lists. `retryable` says whether the same call may succeed later without a change by the caller.
 */
export const ERROR_CODES = {
  // Adding events and units of work
  NO_UNIT_OF_WORK: { retryable: false },
  UNIT_CLOSED: { retryable: false },
  UNIT_DOOMED: { retryable: true },
  UNIT_READ_ONLY: { retryable: false },
  UNIT_TIMED_OUT: { retryable: true },
  OUTCOME_UNKNOWN: { retryable: false },
  ALREADY_COMMITTED: { retryable: false },
  IDEMPOTENCY_KEY_INVALID: { retryable: false },
  IDEMPOTENCY_KEY_REUSED: { retryable: false },
  WRONG_DATA_SOURCE: { retryable: false },
  PROPAGATION_REFUSED: { retryable: false },
  ISOLATION_TOO_WEAK: { retryable: false },
  QUERY_OUTSIDE_UNIT: { retryable: false },
  UNSUPPORTED_HANDLE: { retryable: false },
  NO_OPEN_TRANSACTION: { retryable: false },
  AUTOCOMMIT_OFF: { retryable: false },
  NO_OUTBOX: { retryable: false },
  OUTBOX_NOT_CREATED: { retryable: false },
  OUTBOX_AMBIGUOUS: { retryable: false },
  OUTBOX_CLOSED: { retryable: false },
  DECORATOR_MISUSE: { retryable: false },
  // Contracts and payloads
  EVENT_INVALID: { retryable: false },
  PAYLOAD_INVALID: { retryable: false },
  PAYLOAD_NOT_ENCODABLE: { retryable: false },
  PAYLOAD_NOT_DECODABLE: { retryable: false },
  VERSION_UNSUPPORTED: { retryable: false },
  MESSAGE_TOO_LARGE: { retryable: false },
  KEY_INVALID: { retryable: false },
  AGGREGATE_INVALID: { retryable: false },
  HEADER_INVALID: { retryable: false },
  MESSAGE_ID_INVALID: { retryable: false },
  // Options and configuration
  OPTIONS_INVALID: { retryable: false },
  CONFIG_NOT_FOUND: { retryable: false },
  CONFIG_UNREADABLE: { retryable: false },
  CONFIG_INVALID: { retryable: false },
  COMMAND_UNKNOWN: { retryable: false },
  DEPENDENCY_MISSING: { retryable: false },
  NODE_UNSUPPORTED: { retryable: false },
  // Databases
  DATABASE_UNAVAILABLE: { retryable: true },
  RIGHTS_MISSING: { retryable: false },
  SCHEMA_MISSING: { retryable: false },
  SCHEMA_TOO_OLD: { retryable: false },
  SCHEMA_TOO_NEW: { retryable: false },
  SCHEMA_NOT_WRITABLE: { retryable: false },
  MIGRATION_FAILED: { retryable: true },
  // Brokers
  BROKER_UNAVAILABLE: { retryable: true },
  BROKER_UNSUPPORTED: { retryable: false },
  TOPIC_MISSING: { retryable: false },
  TOPIC_NOT_AUTHORIZED: { retryable: false },
  TOPIC_SHRUNK: { retryable: false },
  TOPIC_SWITCHING: { retryable: true },
  GROW_REFUSED: { retryable: false },
  PUBLISH_REJECTED: { retryable: false },
  DEAD_LETTER_MISSING: { retryable: false },
  PUBLISH_UNKNOWN: { retryable: true },
  // Consuming
  HANDLER_INVALID: { retryable: false },
  HANDLER_FAILED: { retryable: true },
  HANDLER_MISSING: { retryable: false },
  MESSAGE_FOREIGN: { retryable: false },
  MESSAGE_UNREADABLE: { retryable: false },
  ASSIGNMENT_LOST: { retryable: true },
  MESSAGE_IN_PROGRESS: { retryable: true },
  // Lifecycle
  ADDRESS_UNAVAILABLE: { retryable: true },
  START_REFUSED: { retryable: false },
  ALREADY_STARTED: { retryable: false },
  STOPPED: { retryable: false },
} as const;

/** One of the closed list of error codes. */
export type ErrorCode = keyof typeof ERROR_CODES;

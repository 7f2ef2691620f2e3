export type { Codec } from './contract/codec.ts';
export {
  type AggregateDefinition,
  defineEvent,
  type EventDefinition,
  type EventOptions,
  type PayloadInputOf,
  type PayloadOf,
} from './contract/event.ts';
export { jsonCodec } from './contract/json-codec.ts';
export type { AddOptions, HeaderValue, Message } from './contract/message.ts';
export type { MessageId } from './contract/message-id.ts';
export { rawCodec } from './contract/raw-codec.ts';
export { isTxboxError, TxboxError, type TxboxErrorOptions } from './runtime/error.ts';
export { ERROR_CODES, type ErrorCode } from './runtime/error-codes.ts';
export { type Logger, silentLogger } from './runtime/logger.ts';
export type { IsolationLevel, Propagation, Transaction, TransactionOptions } from './transaction/transaction.ts';
export { Transactional, type TransactionalOptions } from './transaction/transactional.ts';
export type { WireHeader } from './transport/delivery.ts';

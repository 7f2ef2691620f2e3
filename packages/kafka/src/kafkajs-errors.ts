import { isTxboxError, type PublishFailureKind, TxboxError } from '@txbox/core/spi';

/** What Kafka, as kafkajs names it, says about a record: it will say so again. */
const RECORD_ERRORS = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'CORRUPT_MESSAGE', 'INVALID_RECORD']);

const TOPIC_ERRORS: ReadonlyMap<string, 'TOPIC_MISSING' | 'TOPIC_NOT_AUTHORIZED'> = new Map([
  ['UNKNOWN_TOPIC_OR_PARTITION', 'TOPIC_MISSING'],
  ['INVALID_TOPIC_EXCEPTION', 'TOPIC_MISSING'],
  ['TOPIC_AUTHORIZATION_FAILED', 'TOPIC_NOT_AUTHORIZED'],
]);

/** The group goes on without this member, or without this generation of it. */
const LOST_ASSIGNMENT_ERRORS = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'MEMBER_ID_REQUIRED',
  'FENCED_INSTANCE_ID',
  'NOT_COORDINATOR_FOR_GROUP',
]);

/** An error and its causes, outermost first; kafkajs wraps what it gives up on. */
function* chain(error: unknown): Generator<Record<string, unknown>> {
  const seen = new Set<unknown>();
  for (let one = error; typeof one === 'object' && one !== null && !seen.has(one); one = (one as { cause?: unknown }).cause) {
    seen.add(one);
    yield one as Record<string, unknown>;
  }
}

/** Kafka's own name of the error, such as `MESSAGE_TOO_LARGE`, when a broker answered with one. */
function protocolErrorOf(error: unknown): string | undefined {
  for (const { type } of chain(error)) if (typeof type === 'string') return type;
  return undefined;
}

/** Whether a client that met this error should be replaced: everything but a broker's plain answer about a record. */
export function isStaleClient(error: unknown): boolean {
  const type = protocolErrorOf(error);
  return type === undefined || TOPIC_ERRORS.has(type);
}

/** Whether the member no longer holds what it was assigned. */
export function isLostAssignment(error: unknown): boolean {
  const type = protocolErrorOf(error);
  return type !== undefined && LOST_ASSIGNMENT_ERRORS.has(type);
}

/**
 * What an error means for a request (P-R10). Total: what is not known is transient, and so is every unknown outcome
 * (P-R6).
 */
export function classify(error: unknown): PublishFailureKind {
  if (isTxboxError(error)) {
    if (error.code === 'PUBLISH_REJECTED') return 'record';
    return error.code === 'TOPIC_MISSING' || error.code === 'TOPIC_NOT_AUTHORIZED' || error.code === 'TOPIC_SHRUNK' ? 'topic' : 'transient';
  }
  const type = protocolErrorOf(error);
  if (type === undefined) return 'transient';
  if (RECORD_ERRORS.has(type)) return 'record';
  return TOPIC_ERRORS.has(type) ? 'topic' : 'transient';
}

/** The error about a topic that a broker's answer amounts to, if any. */
export function topicErrorOf(error: unknown, topic: string): TxboxError | undefined {
  if (isTxboxError(error)) return undefined;
  const code = TOPIC_ERRORS.get(protocolErrorOf(error) ?? '');
  if (code === undefined) return undefined;
  const text = code === 'TOPIC_MISSING' ? missing(topic) : `No access to topic ${topic}.`;
  return new TxboxError(code, text, { cause: error, details: { topic } });
}

function missing(topic: string): string {
  const command = `kafka-topics.sh --bootstrap-server <brokers> --create --topic ${topic} --partitions <n>`;
  return (
    `Topic ${topic} does not exist, and is never created on the way. Create it, for example with ${command}: ` +
    'what runs then goes on by itself, a start that failed is to be repeated.'
  );
}

/** An error while asking for something that has no effect. */
export function unavailable(error: unknown, what: string): TxboxError {
  if (isTxboxError(error)) return error;
  return new TxboxError('BROKER_UNAVAILABLE', `${what}: ${reasonOf(error)}`, { cause: error });
}

/** The innermost text, which names the cause; kafkajs's outer ones repeat it. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

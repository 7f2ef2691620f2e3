import { isTxboxError, type PublishFailureKind, TxboxError } from '@txbox/core/spi';

/** What Kafka says about a record, by Kafka's own names: it will say so again. */
const RECORD_ERRORS = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'CORRUPT_MESSAGE', 'INVALID_RECORD']);

const TOPIC_ERRORS: ReadonlyMap<string, 'TOPIC_MISSING' | 'TOPIC_NOT_AUTHORIZED'> = new Map([
  ['UNKNOWN_TOPIC_OR_PARTITION', 'TOPIC_MISSING'],
  ['INVALID_TOPIC_EXCEPTION', 'TOPIC_MISSING'],
  ['TOPIC_AUTHORIZATION_FAILED', 'TOPIC_NOT_AUTHORIZED'],
]);

/** What one client's errors are, in Kafka's terms. */
export interface ErrorReader {
  /** Kafka's own name of the error, such as `MESSAGE_TOO_LARGE`, when a broker answered with one. */
  protocolErrorOf(error: unknown): string | undefined;
  /** A text that names the cause. */
  reasonOf(error: unknown): string;
}

/** Whether an answer says that the topic is not there, or not for this client. */
export function isAboutTopic(protocolError: string): boolean {
  return TOPIC_ERRORS.has(protocolError);
}

/** What the errors of a client mean: one table for all clients (docs/kafka-failures.md), read through each one's own eyes. */
export interface KafkaErrors {
  /**
   * What an error means for a request (P-R10). Total: what is not known is transient, and so is every unknown outcome
   * (P-R6).
   */
  classify(error: unknown): PublishFailureKind;
  /** The error about a topic that a broker's answer amounts to, if any. */
  topicErrorOf(error: unknown, topic: string): TxboxError | undefined;
  /** An error of a request that was sent: a refusal, or an unknown outcome (P-R6). */
  publishErrorOf(error: unknown, topic: string): TxboxError;
  /** An error while asking for something that has no effect. */
  unavailable(error: unknown, what: string): TxboxError;
}

/** The table for one client. */
export function kafkaErrors({ protocolErrorOf, reasonOf }: ErrorReader): KafkaErrors {
  const classify = (error: unknown): PublishFailureKind => {
    if (isTxboxError(error)) return kindOf(error);
    const name = protocolErrorOf(error);
    if (name === undefined) return 'transient';
    if (RECORD_ERRORS.has(name)) return 'record';
    return TOPIC_ERRORS.has(name) ? 'topic' : 'transient';
  };
  return {
    classify,
    topicErrorOf: (error, topic) => {
      if (isTxboxError(error)) return undefined;
      const code = TOPIC_ERRORS.get(protocolErrorOf(error) ?? '');
      if (code === undefined) return undefined;
      const text = code === 'TOPIC_MISSING' ? missing(topic) : `No access to topic ${topic}.`;
      return new TxboxError(code, text, { cause: error, details: { topic } });
    },
    publishErrorOf: (error, topic) => {
      if (isTxboxError(error)) return error;
      const options = { cause: error, details: { topic } };
      const reason = reasonOf(error);
      if (classify(error) === 'record') {
        return new TxboxError('PUBLISH_REJECTED', `Kafka refuses a record for topic ${topic}: ${reason}`, options);
      }
      return new TxboxError('PUBLISH_UNKNOWN', `Records for topic ${topic} may or may not be stored: ${reason}`, options);
    },
    unavailable: (error, what) => {
      if (isTxboxError(error)) return error;
      return new TxboxError('BROKER_UNAVAILABLE', `${what}: ${reasonOf(error)}`, { cause: error });
    },
  };
}

function kindOf({ code }: TxboxError): PublishFailureKind {
  if (code === 'PUBLISH_REJECTED') return 'record';
  return code === 'TOPIC_MISSING' || code === 'TOPIC_NOT_AUTHORIZED' || code === 'TOPIC_SHRUNK' ? 'topic' : 'transient';
}

/** What to say when no broker answers: which were asked, and what is most often wrong. */
export function noAnswer(brokers: readonly string[]): string {
  return `No broker answers at ${brokers.join(', ')} (do they run, and are brokers, ssl and sasl right?)`;
}

/** An error and its causes, outermost first. */
export function* causesOf(error: unknown): Generator<Record<string, unknown>> {
  const seen = new Set<unknown>();
  for (let one = error; typeof one === 'object' && one !== null && !seen.has(one); one = (one as { cause?: unknown }).cause) {
    seen.add(one);
    yield one as Record<string, unknown>;
  }
}

/** The error of a request for a partition that the topic does not have. */
export function shrunk(topic: string, partition: number, partitions: number): TxboxError {
  return new TxboxError(
    'TOPIC_SHRUNK',
    `Topic ${topic} has ${partitions} partitions (0 to ${partitions - 1}), got a request for partition ${partition}.`,
    { details: { topic, partition, partitions } },
  );
}

/** The error of an answer that does not prove what was asked (P-R6). */
export function unproven(topic: string, partition: number, records: number, answer: unknown): TxboxError {
  return new TxboxError(
    'PUBLISH_UNKNOWN',
    `The answer to ${records} records for partition ${partition} of ${topic} does not confirm them: they may or may not be stored.`,
    { details: { topic, partition, answer } },
  );
}

function missing(topic: string): string {
  const command = `kafka-topics.sh --bootstrap-server <brokers> --create --topic ${topic} --partitions <n>`;
  return (
    `Topic ${topic} does not exist, and is never created on the way. Create it, for example with ${command}: ` +
    'what runs then goes on by itself, a start that failed is to be repeated.'
  );
}

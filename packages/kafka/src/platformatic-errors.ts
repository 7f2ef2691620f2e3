import { isTxboxError } from '@txbox/core/spi';
import { causesOf, type KafkaErrors, kafkaErrors } from './kafka-errors.ts';

/** What a broker answers that does not lead the partition, or does not know of it yet: it has stored nothing. */
const ELSEWHERE = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE', 'NOT_LEADER_OR_FOLLOWER', 'FENCED_LEADER_EPOCH']);

/** An error, its causes, and what one that stands for several holds; each once. */
function* partsOf(error: unknown, seen: Set<unknown> = new Set()): Generator<Record<string, unknown>> {
  for (const one of causesOf(error)) {
    if (seen.has(one)) return;
    seen.add(one);
    yield one;
    if (Array.isArray(one['errors'])) for (const inner of one['errors']) yield* partsOf(inner, seen);
  }
}

/** What the client also calls the texts that a broker gives for single records, before it comes to the answer itself. */
const NAMELESS = 'UNKNOWN_SERVER_ERROR';

/** The client hides Kafka's answers in errors about one answer or about several attempts. */
function protocolErrorOf(error: unknown): string | undefined {
  const names = [...partsOf(error)].flatMap(({ apiId }) => (typeof apiId === 'string' ? [apiId] : []));
  return names.find((name) => name !== NAMELESS) ?? names[0];
}

/** Texts from the outside in: the client's own ones ("Connection to … failed.") do not name the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const texts = [...partsOf(error)].flatMap(({ message, apiId, serverErrorMessage }) => [
    ...(typeof message !== 'string' || apiId === NAMELESS ? [] : [typeof apiId === 'string' ? `${apiId}: ${message}` : message]),
    ...(typeof serverErrorMessage === 'string' ? [serverErrorMessage] : []),
  ]);
  return [...new Set(texts)].join(' ');
}

const errors = kafkaErrors({ protocolErrorOf, reasonOf });
export const classify: KafkaErrors['classify'] = errors.classify;
export const topicErrorOf: KafkaErrors['topicErrorOf'] = errors.topicErrorOf;
export const publishErrorOf: KafkaErrors['publishErrorOf'] = errors.publishErrorOf;
export const unavailable: KafkaErrors['unavailable'] = errors.unavailable;

/** Whether another broker is to be asked: this one has refused, so that nothing is stored. */
export function isElsewhere(error: unknown): boolean {
  return ELSEWHERE.has(protocolErrorOf(error) ?? '');
}

/** Whether the broker does not know the version of a request. */
export function isUnsupportedVersion(error: unknown): boolean {
  return protocolErrorOf(error) === 'UNSUPPORTED_VERSION';
}

/** Whether a client that met this error should be replaced: everything but a broker's plain answer. */
export function isStaleClient(error: unknown): boolean {
  return !isTxboxError(error) && protocolErrorOf(error) === undefined;
}

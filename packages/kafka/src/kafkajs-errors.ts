import { causesOf, isAboutTopic, type KafkaErrors, kafkaErrors } from './kafka-errors.ts';

/** The group goes on without this member, or without this generation of it. */
const LOST_ASSIGNMENT_ERRORS = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'MEMBER_ID_REQUIRED',
  'FENCED_INSTANCE_ID',
  'NOT_COORDINATOR_FOR_GROUP',
]);

/** kafkajs wraps what it gives up on; Kafka's name is the `type` of what it wraps. */
function protocolErrorOf(error: unknown): string | undefined {
  for (const { type } of causesOf(error)) if (typeof type === 'string') return type;
  return undefined;
}

/** The innermost text, which names the cause; kafkajs's outer ones repeat it. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const errors = kafkaErrors({ protocolErrorOf, reasonOf });
export const classify: KafkaErrors['classify'] = errors.classify;
export const topicErrorOf: KafkaErrors['topicErrorOf'] = errors.topicErrorOf;
export const publishErrorOf: KafkaErrors['publishErrorOf'] = errors.publishErrorOf;
export const unavailable: KafkaErrors['unavailable'] = errors.unavailable;

/** Whether a client that met this error should be replaced: everything but a broker's plain answer about a record. */
export function isStaleClient(error: unknown): boolean {
  const name = protocolErrorOf(error);
  return name === undefined || isAboutTopic(name);
}

/** Whether the member no longer holds what it was assigned. */
export function isLostAssignment(error: unknown): boolean {
  const name = protocolErrorOf(error);
  return name !== undefined && LOST_ASSIGNMENT_ERRORS.has(name);
}

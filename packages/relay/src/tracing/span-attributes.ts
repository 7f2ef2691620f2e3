/**
 * Names of attributes, by OpenTelemetry's semantic conventions of messaging (1.45, in development): here and nowhere else,
 * because they may still change. Listed for users in docs/operations/watching.md.
 */
export const SPAN_ATTRIBUTE = {
  system: 'messaging.system',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  partition: 'messaging.destination.partition.id',
  messages: 'messaging.batch.message_count',
  offset: 'messaging.kafka.offset',
  errorType: 'error.type',
} as const;

import { isTxboxError, type Publisher, type PublishFailureKind, type PublishRequest, TxboxError } from '@txbox/core/spi';

/** Publishes, and rejects with `PUBLISH_UNKNOWN` too when the acknowledgement does not name exactly this partition (P-R6). */
export async function confirmedPublish(publisher: Publisher, request: PublishRequest): Promise<void> {
  const { topic, partition } = request;
  const receipt = await publisher.publish(request);
  if (receipt.topic === topic && receipt.partition === partition) return;
  throw new TxboxError(
    'PUBLISH_UNKNOWN',
    `The acknowledgement names partition ${receipt.partition} of ${receipt.topic} instead of ${partition} of ${topic}.`,
  );
}

/** What a failure on the way to the broker means, also one that the publisher has never seen (P-R10). */
export function failureKind(publisher: Publisher, error: unknown): PublishFailureKind {
  // Headers that cannot be read are the record's own fault.
  if (isTxboxError(error, 'MESSAGE_UNREADABLE')) return 'record';
  return isTxboxError(error, 'TOPIC_SHRUNK') || isTxboxError(error, 'TOPIC_SWITCHING') ? 'topic' : publisher.classify(error);
}

import { describe, expect, it } from 'vitest';
import { classify, isLostAssignment, isStaleClient, topicErrorOf } from '../src/kafkajs-errors.ts';

/** An error as kafkajs throws it: Kafka's answer, wrapped when it was tried for too long. */
function protocolError(type: string, wrapped = false): Error {
  const answer = Object.assign(new Error(type), { name: 'KafkaJSProtocolError', type });
  return wrapped ? Object.assign(new Error(type, { cause: answer }), { name: 'KafkaJSNumberOfRetriesExceeded' }) : answer;
}

const named = (name: string) => Object.assign(new Error(name), { name });

describe('classify', () => {
  // Every answer of a broker, every error of the client and every code: kafka-failures.test.ts.
  it('sees an answer through what is wrapped around it', () => {
    expect(classify(protocolError('MESSAGE_TOO_LARGE', true))).toBe('record');
    expect(classify(protocolError('UNKNOWN_TOPIC_OR_PARTITION', true))).toBe('topic');
    expect(classify(protocolError('KAFKAJS_UNKNOWN_ERROR_CODE', true))).toBe('transient');
  });

  it.each([['KafkaJSConnectionError'], ['KafkaJSConnectionClosedError'], ['KafkaJSRequestTimeoutError'], ['TypeError'], ['Error']])(
    'calls %s transient',
    (name) => {
      expect(classify(named(name))).toBe('transient');
    },
  );

  it('is total', () => {
    const circular: { cause?: unknown } = {};
    circular.cause = circular;
    for (const unknown of [undefined, null, 0, 'text', {}, circular, { type: 42 }]) expect(classify(unknown)).toBe('transient');
  });
});

describe('what an error speaks against', () => {
  it('the client, unless a broker plainly answered', () => {
    expect(isStaleClient(named('KafkaJSRequestTimeoutError'))).toBe(true);
    expect(isStaleClient(protocolError('UNKNOWN_TOPIC_OR_PARTITION', true))).toBe(true);
    expect(isStaleClient(protocolError('MESSAGE_TOO_LARGE'))).toBe(false);
    expect(isStaleClient(protocolError('NOT_ENOUGH_REPLICAS', true))).toBe(false);
  });

  it('the assignment', () => {
    for (const type of ['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS'])
      expect(isLostAssignment(protocolError(type))).toBe(true);
    expect(isLostAssignment(protocolError('GROUP_LOAD_IN_PROGRESS'))).toBe(false);
    expect(isLostAssignment(named('KafkaJSConnectionClosedError'))).toBe(false);
  });

  it('the topic', () => {
    expect(topicErrorOf(protocolError('UNKNOWN_TOPIC_OR_PARTITION', true), 'orders')).toMatchObject({
      code: 'TOPIC_MISSING',
      message: expect.stringMatching(/^Topic orders does not exist.* Create it.*--topic orders --partitions/),
      details: { topic: 'orders' },
    });
    expect(topicErrorOf(protocolError('TOPIC_AUTHORIZATION_FAILED'), 'orders')).toMatchObject({ code: 'TOPIC_NOT_AUTHORIZED' });
    expect(topicErrorOf(protocolError('REQUEST_TIMED_OUT'), 'orders')).toBeUndefined();
  });
});

import { ERROR_CODES, type ErrorCode, TxboxError } from '@txbox/core/spi';
import { describe, expect, it } from 'vitest';
import { classify, isLostAssignment, isStaleClient, topicErrorOf } from '../src/kafkajs-errors.ts';

/** An error as kafkajs throws it: Kafka's answer, wrapped when it was tried for too long. */
function protocolError(type: string, wrapped = false): Error {
  const answer = Object.assign(new Error(type), { name: 'KafkaJSProtocolError', type });
  return wrapped ? Object.assign(new Error(type, { cause: answer }), { name: 'KafkaJSNumberOfRetriesExceeded' }) : answer;
}

const named = (name: string) => Object.assign(new Error(name), { name });

describe('classify', () => {
  it.each([
    ['MESSAGE_TOO_LARGE', 'record'],
    ['RECORD_LIST_TOO_LARGE', 'record'],
    ['CORRUPT_MESSAGE', 'record'],
    ['INVALID_RECORD', 'record'],
    ['UNKNOWN_TOPIC_OR_PARTITION', 'topic'],
    ['INVALID_TOPIC_EXCEPTION', 'topic'],
    ['TOPIC_AUTHORIZATION_FAILED', 'topic'],
    ['NOT_LEADER_FOR_PARTITION', 'transient'],
    ['LEADER_NOT_AVAILABLE', 'transient'],
    ['NOT_ENOUGH_REPLICAS', 'transient'],
    ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'transient'],
    ['REQUEST_TIMED_OUT', 'transient'],
    ['CLUSTER_AUTHORIZATION_FAILED', 'transient'],
    ['UNSUPPORTED_COMPRESSION_TYPE', 'transient'],
    ['INVALID_TIMESTAMP', 'transient'],
    ['KAFKAJS_UNKNOWN_ERROR_CODE', 'transient'],
  ])('calls %s a failure of kind %s, wrapped or not', (type, kind) => {
    expect(classify(protocolError(type))).toBe(kind);
    expect(classify(protocolError(type, true))).toBe(kind);
  });

  it('knows the codes of this framework', () => {
    const kinds = Object.keys(ERROR_CODES).map((code) => [code, classify(new TxboxError(code as ErrorCode, 'x'))]);
    expect(kinds.filter(([, kind]) => kind !== 'transient')).toEqual([
      ['TOPIC_MISSING', 'topic'],
      ['TOPIC_NOT_AUTHORIZED', 'topic'],
      ['TOPIC_SHRUNK', 'topic'],
      ['PUBLISH_REJECTED', 'record'],
    ]);
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

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { errorCodes, ProtocolError, protocolErrors, ResponseError } from '@platformatic/kafka';
import { ERROR_CODES, type ErrorCode, TxboxError } from '@txbox/core/spi';
import { describe, expect, it } from 'vitest';
import type { KafkaErrors } from '../src/kafka-errors.ts';
import * as ofKafkajs from '../src/kafkajs-errors.ts';
import * as ofPlatformatic from '../src/platformatic-errors.ts';

const require = createRequire(import.meta.url);
const kafkajs = require('kafkajs') as Record<string, unknown>;
const kafkajsAnswers = require('kafkajs/src/protocol/error') as {
  errorCodes: { type: string; code: number }[];
  createErrorFromCode(code: number): Error;
};

const DOCUMENT = readFileSync(resolve(import.meta.dirname, '../../../docs/kafka-failures.md'), 'utf8');

/** Cells of the table behind `<!-- kafka-failures: name -->`, without its head. */
function tableOf(name: string): string[][] {
  const table = DOCUMENT.split(`<!-- kafka-failures: ${name} -->\n`)[1]?.split('\n\n')[0]?.trim() ?? '';
  return table
    .split('\n')
    .slice(2)
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()));
}

interface Answer {
  readonly number: number;
  readonly name: string;
  readonly nameInKafkajs: string;
  readonly kind: string;
  readonly error: string;
}

const answers = tableOf('answers').map(
  ([number = '', name = '', nameInKafkajs = '', kind = '', error = '']): Answer => ({
    number: Number(number.replace('−', '-')),
    name,
    nameInKafkajs: nameInKafkajs || name,
    kind,
    error,
  }),
);
const documented = new Map(answers.map((answer) => [answer.number, answer]));

/** An answer in the form in which the client throws it. */
const CLIENTS: readonly [string, KafkaErrors, { readonly number: number; readonly name: string }[], (number: number) => Error][] = [
  [
    'kafkajs',
    ofKafkajs,
    kafkajsAnswers.errorCodes.map(({ code, type }) => ({ number: code, name: type })),
    (number) => Object.assign(new Error('gave up', { cause: kafkajsAnswers.createErrorFromCode(number) }), { retriable: false }),
  ],
  [
    'platformatic',
    ofPlatformatic,
    Object.values(protocolErrors)
      .map(({ code, id }) => ({ number: code, name: id }))
      .filter(({ number }) => number !== 0),
    (number) => new ResponseError(0, 11, { '/responses/0/partition_responses/0': [number, null] }, {}),
  ],
];

describe.each(CLIENTS)('what a broker answers to %s', (client, errors, known, errorOf) => {
  it('is classified as the document says, and what it does not list is transient', () => {
    const classified = known.map(({ number, name }) => {
      const error = errorOf(number);
      const thrown = errors.topicErrorOf(error, 'orders') ?? errors.publishErrorOf(error, 'orders');
      expect(errors.classify(thrown)).toBe(errors.classify(error));
      return { number, name, kind: errors.classify(error), error: thrown.code };
    });
    const expected = known.map(({ number, name }) => {
      const { kind, error, ...names } = documented.get(number) ?? {
        kind: 'transient',
        error: 'PUBLISH_UNKNOWN',
        name,
        nameInKafkajs: name,
      };
      return { number, name: client === 'kafkajs' ? names.nameInKafkajs : names.name, kind, error };
    });
    expect(classified).toEqual(expected);
  });

  it('is in the document only if the client knows it', () => {
    const numbers = known.map(({ number }) => number);
    expect(answers.filter(({ number }) => !numbers.includes(number))).toEqual([]);
  });
});

describe('without an answer', () => {
  const namesIn = (table: string): string[] => tableOf(table).flatMap(([names = '']) => names.split(', '));

  it('every error of kafkajs is in the document, and transient', () => {
    const classes = Object.keys(kafkajs).filter((name) => (kafkajs[name] as { prototype?: unknown }).prototype instanceof Error);
    expect(namesIn('kafkajs').sort()).toEqual(classes.sort());
    for (const name of classes) expect(ofKafkajs.classify(Object.assign(new Error(name), { name }))).toBe('transient');
  });

  it('every error of @platformatic/kafka is in the document, and transient', () => {
    expect(namesIn('platformatic').sort()).toEqual([...errorCodes].sort());
    for (const code of errorCodes) expect(ofPlatformatic.classify(Object.assign(new Error(code), { code }))).toBe('transient');
  });

  it('the codes of this framework are those of the document', () => {
    const kinds = new Map(
      tableOf('codes').flatMap(([codes = '', kind = '']) => [...codes.matchAll(/\[(\w+)\]/g)].map(([, code]) => [code as string, kind])),
    );
    expect([...kinds.keys()].filter((code) => !(code in ERROR_CODES))).toEqual([]);
    for (const [, { classify }] of CLIENTS) {
      for (const code of Object.keys(ERROR_CODES) as ErrorCode[])
        expect([code, classify(new TxboxError(code, 'x'))]).toEqual([code, kinds.get(code) ?? 'transient']);
    }
  });
});

describe('@platformatic/kafka', () => {
  it('puts what a broker says of a single record before its answer, which counts', () => {
    const error = new ResponseError(
      0,
      11,
      { '/responses/0/partition_responses/0/record_errors/0': [-1, 'needs a key'], '/responses/0/partition_responses/0': [87, null] },
      {},
    );
    expect(ofPlatformatic.classify(error)).toBe('record');
    expect(ofPlatformatic.publishErrorOf(error, 'orders').message).toMatch(/needs a key.*INVALID_RECORD/);
  });

  it('is total', () => {
    const circular: { cause?: unknown; errors?: unknown[] } = {};
    circular.cause = circular;
    circular.errors = [circular];
    for (const unknown of [undefined, null, 0, 'text', {}, circular, { apiId: 42 }, { errors: 'none' }])
      expect(ofPlatformatic.classify(unknown)).toBe('transient');
  });

  it('is replaced after everything but a plain answer', () => {
    expect(ofPlatformatic.isStaleClient(new Error('socket hang up'))).toBe(true);
    expect(ofPlatformatic.isStaleClient(new ProtocolError('NOT_ENOUGH_REPLICAS'))).toBe(false);
    expect(ofPlatformatic.isStaleClient(new TxboxError('BROKER_UNAVAILABLE', 'x'))).toBe(false);
  });
});

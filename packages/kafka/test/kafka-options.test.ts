import { silentLogger } from '@txbox/core/spi';
import { describe, expect, it } from 'vitest';
import { kafkajs, kafkajsSource } from '../src/kafkajs.ts';
import { platformatic } from '../src/platformatic.ts';

const BROKERS = ['127.0.0.1:9092'];

function refusal(make: () => unknown): { code: string; message: string; details: { problems: string[] } } {
  try {
    make();
  } catch (error) {
    return error as ReturnType<typeof refusal>;
  }
  return expect.fail('was accepted');
}

describe.each([
  ['kafkajs', kafkajs],
  ['kafkajsSource', kafkajsSource],
] as const)('options of %s', (name, make) => {
  const given = (options: object) => () => make(options as never);

  it('are few that are needed', () => {
    expect(make({ brokers: BROKERS }).name).toBe('kafkajs');
  });

  it('may all be given', () => {
    const options = { clientId: 'orders', ssl: { ca: 'pem' }, connectionTimeoutMs: 500, requestTimeoutMs: 500, logger: silentLogger };
    const sasl = { mechanism: 'scram-sha-512', username: 'me', password: 'secret' } as const;
    expect(make({ brokers: BROKERS, ...options, sasl, patchIdleTimer: false }).name).toBe('kafkajs');
    const oauth = { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: 'token' }) } as const;
    expect(make({ brokers: BROKERS, sasl: oauth, ssl: true }).name).toBe('kafkajs');
  });

  it('are refused all at once, unknown ones too', () => {
    const { code, message, details } = refusal(given({ brokers: [], clientId: '', ssl: 1, requestTimeoutMs: 0, idempotent: true }));
    expect(code).toBe('OPTIONS_INVALID');
    expect(message).toContain(`${name}: `);
    expect(details.problems).toHaveLength(5);
    expect(message).toContain('unknown option idempotent');
  });

  it.each([[['localhost']], [['localhost:0']], [['localhost:70000']], [['kafka://localhost:9092']], [[9092]], ['localhost:9092']])(
    'refuse brokers of %j',
    (brokers) => {
      expect(refusal(given({ brokers })).message).toContain('brokers ');
    },
  );

  it.each([
    'user:opensesame',
    { mechanism: 'plain', username: 'me', password: 'opensesame', extra: 'opensesame' },
    { mechanism: 'plain', username: '', password: 'opensesame' },
    { mechanism: 'opensesame' },
    { mechanism: 'oauthbearer', oauthBearerProvider: 'opensesame' },
    { username: 'me', password: 'opensesame' },
  ])('refuse sasl without showing it: %#', (sasl) => {
    const { message, details } = refusal(given({ brokers: BROKERS, sasl }));
    expect(message).toContain('sasl ');
    expect(JSON.stringify([message, details])).not.toContain('opensesame');
  });
});

describe('options of one side', () => {
  it.each([kafkajs, platformatic])('of the publisher %o', (publisher) => {
    expect(publisher({ brokers: BROKERS }).maxRecordBytes).toBe(1_048_000);
    expect(publisher({ brokers: BROKERS, maxRecordBytes: 5_000_000, compression: 'lz4' }).maxRecordBytes).toBe(5_000_000);
    expect(refusal(() => publisher({ brokers: BROKERS, compression: 'brotli' as never })).message).toContain('compression must be one of');
  });

  it('of one publisher are unknown to the other', () => {
    kafkajs({ brokers: BROKERS, patchIdleTimer: false });
    const options = { brokers: BROKERS, patchIdleTimer: false };
    expect(refusal(() => platformatic(options)).message).toContain('patchIdleTimer');
  });

  it('of the source', () => {
    expect(
      refusal(() => kafkajsSource({ brokers: BROKERS, sessionTimeoutMs: 10, maxWaitMs: 0, maxLaneBytes: 1 })).details.problems,
    ).toHaveLength(3);
  });
});

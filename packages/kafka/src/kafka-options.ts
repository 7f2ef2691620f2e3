import type { ConnectionOptions } from 'node:tls';
import {
  flag,
  integerWithin,
  type Logger,
  loggerLike,
  type OptionRule,
  type OptionShape,
  objectValue,
  oneOf,
  shaped,
  silentLogger,
  text,
} from '@txbox/core/spi';

/** How a client proves who it is. Secrets appear in no error and no log line. */
export type KafkaSasl =
  | { readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; readonly username: string; readonly password: string }
  | { readonly mechanism: 'oauthbearer'; readonly oauthBearerProvider: () => Promise<{ value: string }> };

/** How requests may be packed. */
export type KafkaCompression = (typeof COMPRESSIONS)[number];

/** Every {@link KafkaCompression}. */
const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

/** How to reach a Kafka cluster: what publishers and sources have in common. */
export interface KafkaConnectionOptions {
  /** Addresses to begin with, `host:port`; the cluster names the others. */
  readonly brokers: readonly string[];
  /** How this process is called in the brokers' logs and quotas. Default `txbox`. */
  readonly clientId?: string;
  /** `true`, or the options of Node's `tls.connect`, for an encrypted connection. Default `false`. */
  readonly ssl?: boolean | ConnectionOptions;
  /** Default: none. */
  readonly sasl?: KafkaSasl;
  /** How long one connection may take, TLS included, milliseconds. Default 10,000. */
  readonly connectionTimeoutMs?: number;
  /** How long an answer may take, milliseconds. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Where the client's own log lines go; its errors arrive as warnings, since what matters is reported as errors of this package. Default: nowhere. */
  readonly logger?: Logger;
}

/** `host:port`. */
const broker: OptionRule = (value) => {
  if (typeof value !== 'string') return 'must be a text';
  const port = Number(/^[^\s/@]+:(\d{1,5})$/.exec(value)?.[1]);
  return port >= 1 && port <= 65_535 ? undefined : 'must be host:port';
};

const brokers: OptionRule = shaped({ type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1 }, (value) => {
  if (!Array.isArray(value) || value.length === 0) return 'must be an array of at least one host:port';
  const index = value.findIndex((item) => broker(item) !== undefined);
  return index < 0 ? undefined : `item ${index} ${broker(value[index])}, got ${JSON.stringify(value[index])}`;
});

const PEM = { type: 'string', minLength: 1 } as const;

/** Of the options of `tls.connect` those that have a variable of their own; in JSON any of them may stand. */
const TLS_SHAPE: OptionShape = {
  type: 'object',
  properties: {
    ca: { ...PEM, description: "Certificates that are trusted instead of Node's, as PEM." },
    cert: { ...PEM, description: 'Certificate of this client, as PEM.' },
    key: { ...PEM, writeOnly: true, description: 'Private key of this client, as PEM.' },
    passphrase: { ...PEM, writeOnly: true, description: 'Of the private key.' },
    servername: { ...PEM, description: 'Name that the brokers must prove, where it is not the one connected to.' },
    rejectUnauthorized: { type: 'boolean', description: '`false` = believe anybody. Default `true`.' },
  },
};

const ssl: OptionRule = shaped({ anyOf: [{ type: 'boolean' }, TLS_SHAPE] }, (value) =>
  flag(value) === undefined || objectValue(value) === undefined ? undefined : 'must be true, false or the options of tls.connect',
);

const SASL_FIELDS: Readonly<Record<string, Readonly<Record<string, 'string' | 'function'>>>> = {
  plain: { username: 'string', password: 'string' },
  'scram-sha-256': { username: 'string', password: 'string' },
  'scram-sha-512': { username: 'string', password: 'string' },
  oauthbearer: { oauthBearerProvider: 'function' },
};

/** Without `oauthbearer`, whose provider is a function. */
const SASL_SHAPE: OptionShape = {
  type: 'object',
  properties: {
    mechanism: { enum: ['plain', 'scram-sha-256', 'scram-sha-512'], description: '`oauthbearer` can be configured in code only.' },
    username: { type: 'string', minLength: 1, writeOnly: true, description: 'On Tencent CKafka `instance#user`.' },
    password: {
      type: 'string',
      minLength: 1,
      writeOnly: true,
      description: 'Best read from a file: `TXBOX_PUBLISHER__SASL__PASSWORD_FILE`.',
    },
  },
  required: ['mechanism', 'username', 'password'],
  additionalProperties: false,
};

const sasl: OptionRule = shaped(SASL_SHAPE, (value) => {
  if (objectValue(value) !== undefined) return 'must be an object with a mechanism';
  const { mechanism, ...given } = value as Record<string, unknown>;
  const fields = typeof mechanism === 'string' && Object.hasOwn(SASL_FIELDS, mechanism) ? SASL_FIELDS[mechanism] : undefined;
  if (!fields) return `must have a mechanism of ${Object.keys(SASL_FIELDS).join(', ')}`;
  const wrong = Object.entries(fields).filter(([name, type]) => typeof given[name] !== type || given[name] === '');
  if (wrong.length > 0) return `with mechanism ${mechanism} must have ${wrong.map(([name, type]) => `${name} (a ${type})`).join(' and ')}`;
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(fields, name));
  return unknown.length === 0 ? undefined : `with mechanism ${mechanism} has no ${unknown.join(', ')}`;
});

/** Rules of {@link KafkaConnectionOptions}, for `checkOptions`. */
export const connectionRules: { readonly [Key in keyof KafkaConnectionOptions]-?: OptionRule } = {
  brokers,
  clientId: text,
  ssl,
  sasl,
  connectionTimeoutMs: integerWithin(100),
  requestTimeoutMs: integerWithin(100),
  logger: loggerLike,
};

/** Connection options after their check. */
export type ResolvedConnection = Required<Omit<KafkaConnectionOptions, 'sasl'>> & Pick<KafkaConnectionOptions, 'sasl'>;

/** Values of connection options that were not given. */
export const CONNECTION_DEFAULTS: Omit<ResolvedConnection, 'brokers' | 'sasl'> = {
  clientId: 'txbox',
  ssl: false,
  connectionTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  logger: silentLogger,
};

/** What publishers into Kafka have in common. */
export interface KafkaPublisherOptions extends KafkaConnectionOptions {
  /**
   * Largest record, bytes of key, value and headers. Default 1,048,000: a broker's `message.max.bytes` of 1,048,588
   * less what Kafka adds to a record that travels alone. Raise it with the topic's `max.message.bytes`.
   */
  readonly maxRecordBytes?: number;
  /** How requests are packed. Default `none`. */
  readonly compression?: KafkaCompression;
}

/** Rules of {@link KafkaPublisherOptions}, for `checkOptions`. */
export const publisherRules: { readonly [Key in keyof KafkaPublisherOptions]-?: OptionRule } = {
  ...connectionRules,
  maxRecordBytes: integerWithin(1),
  compression: oneOf(...COMPRESSIONS),
};

/** Publisher options after their check. */
export type ResolvedPublisher = ResolvedConnection & Required<Pick<KafkaPublisherOptions, 'maxRecordBytes' | 'compression'>>;

/** Values of publisher options that were not given. */
export const PUBLISHER_DEFAULTS: Omit<ResolvedPublisher, 'brokers' | 'sasl'> = {
  ...CONNECTION_DEFAULTS,
  maxRecordBytes: 1_048_000,
  compression: 'none',
};

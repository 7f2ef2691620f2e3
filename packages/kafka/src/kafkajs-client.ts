import { createRequire } from 'node:module';
import { type Logger, TxboxError } from '@txbox/core/spi';
import type { ISocketFactory, Kafka, KafkaConfig, LogEntry, RetryOptions } from 'kafkajs';
import type { ResolvedConnection } from './kafka-options.ts';
import { installCodecs } from './kafkajs-codecs.ts';
import { type RequestQueuePrototype, stopIdleTimer } from './kafkajs-idle-timer.ts';

/** What every kafkajs client here is made with. */
export interface KafkajsOptions extends ResolvedConnection {
  /** Whether to repair the timer of kafkajs 2.2.4 (`stopIdleTimer`). */
  readonly patchIdleTimer: boolean;
}

/** The module, as far as it is used here. */
export type Kafkajs = Pick<typeof import('kafkajs'), 'Kafka' | 'logLevel' | 'AssignerProtocol' | 'CompressionCodecs'>;

/**
 * Attempts inside kafkajs at connecting and at asking. Few: the callers retry for as long as it takes, and know more.
 * Written out, because kafkajs has other defaults under NODE_ENV=test.
 */
export const CLIENT_RETRY: RetryOptions = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2, retries: 3 };

/** The longest time for which kafkajs may still be sending a request that it was given (P-R11). */
export function givesUpAfterMs({
  connectionTimeoutMs,
  requestTimeoutMs,
}: Pick<ResolvedConnection, 'connectionTimeoutMs' | 'requestTimeoutMs'>): number {
  const { retries = 0, maxRetryTime = 0 } = CLIENT_RETRY;
  return (1 + retries) * (connectionTimeoutMs + requestTimeoutMs) + retries * maxRetryTime;
}

/** Loads kafkajs. Rejects with `DEPENDENCY_MISSING`. */
export async function loadKafkajs(patchIdleTimer: boolean): Promise<Kafkajs> {
  let kafkajs: Kafkajs;
  try {
    kafkajs = (await import('kafkajs')).default as unknown as Kafkajs;
  } catch (cause) {
    throw new TxboxError(
      'DEPENDENCY_MISSING',
      '@txbox/kafka/kafkajs needs the package kafkajs: install it beside @txbox/kafka (npm install kafkajs@2).',
      { cause, details: { package: 'kafkajs' } },
    );
  }
  if (patchIdleTimer) patch();
  installCodecs(kafkajs.CompressionCodecs);
  return kafkajs;
}

/**
 * A client: the factory of producers, consumers and admins, which share nothing but their options.
 * `socketFactory`: makes its connections.
 */
export function createClient({ Kafka, logLevel }: Kafkajs, options: KafkajsOptions, socketFactory: ISocketFactory): Kafka {
  const { brokers, clientId, ssl, sasl, connectionTimeoutMs, requestTimeoutMs, logger } = options;
  return new Kafka({
    brokers: [...brokers],
    clientId,
    ssl,
    // A copy, because kafkajs writes into it.
    ...(sasl ? { sasl: { ...sasl } as NonNullable<KafkaConfig['sasl']> } : {}),
    connectionTimeout: connectionTimeoutMs,
    authenticationTimeout: connectionTimeoutMs,
    requestTimeout: requestTimeoutMs,
    enforceRequestTimeout: true,
    socketFactory,
    retry: CLIENT_RETRY,
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => forward(entry, entry.level === logLevel.ERROR, logger),
  });
}

/** kafkajs calls error whatever it is about to retry, so its errors are warnings here and its warnings news. */
function forward({ namespace, log }: LogEntry, isError: boolean, logger: Logger): void {
  const { timestamp: _timestamp, logger: _logger, message, stack: _stack, ...fields } = log;
  if (isError) logger.warn({ namespace, ...fields }, message);
  else logger.info({ namespace, ...fields }, message);
}

function patch(): void {
  const require = createRequire(import.meta.url);
  const { version } = require('kafkajs/package.json') as { version: string };
  stopIdleTimer(version, () => (require('kafkajs/src/network/requestQueue') as { prototype: RequestQueuePrototype }).prototype);
}

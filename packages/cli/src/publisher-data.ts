import { TxboxError } from '@txbox/core';
import type { Publisher } from '@txbox/core/spi';
import { importInstalled } from './installed.ts';

type Factory = (options: Record<string, unknown>) => Publisher;

/** Where the factory of each kind lies. A kind is an adapter's name, so that data and code read alike. */
const KINDS: Readonly<Record<string, { module: string; factory: string }>> = {
  kafkajs: { module: '@txbox/kafka/kafkajs', factory: 'kafkajs' },
  platformatic: { module: '@txbox/kafka/platformatic', factory: 'platformatic' },
  embedded: { module: '@txbox/embedded', factory: 'embedded' },
};

/** The publisher of a configuration: an instance as it is, data through the adapter it names. */
export async function resolvePublisher(value: unknown): Promise<Publisher> {
  if (isPublisher(value)) return value;
  if (typeof value !== 'object' || value === null) {
    throw new TxboxError(
      'CONFIG_INVALID',
      `publisher must be a Publisher or { kind: ${quotedKinds()}, … }, got ${value === undefined ? 'nothing' : typeof value}.`,
    );
  }
  const { kind, ...options } = value as Record<string, unknown>;
  const found = typeof kind === 'string' && Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (!found) throw new TxboxError('CONFIG_INVALID', `publisher.kind must be one of ${quotedKinds()}, got ${JSON.stringify(kind)}.`);
  const module = await importInstalled(found.module);
  if (!module) {
    const name = found.module.split('/').slice(0, 2).join('/');
    throw new TxboxError(
      'DEPENDENCY_MISSING',
      `publisher.kind ${JSON.stringify(kind)} needs the package ${name}. Install it: npm install ${name}`,
    );
  }
  return (module[found.factory] as Factory)(options);
}

function isPublisher(value: unknown): value is Publisher {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Publisher>).publish === 'function';
}

function quotedKinds(): string {
  return Object.keys(KINDS)
    .map((kind) => JSON.stringify(kind))
    .join(' | ');
}

import { readFileSync } from 'node:fs';
import type { MessageSource } from '@txbox/core/spi';
import { embeddedSource } from '@txbox/embedded';
import { kafkajsSource } from '@txbox/kafka/kafkajs';
import { DataSource, type DataSourceOptions } from 'typeorm';

/** What differs between stacks. The services read it from the file that `TXBOX_DEMO_SETTINGS` names; their code is the same. */
export interface Settings {
  readonly ordersDatabase: string;
  readonly billingDatabase: string;
  readonly broker: { readonly kind: 'embedded'; readonly path: string } | { readonly kind: 'kafkajs'; readonly brokers: readonly string[] };
  /** Reaches the contract as ORDERS_TOPIC, so that two demos on one broker do not mix. */
  readonly topic: string;
}

/** Settings of this process. */
export function readSettings(): Settings {
  const path = process.env['TXBOX_DEMO_SETTINGS'];
  if (path === undefined) throw new Error('TXBOX_DEMO_SETTINGS must name the settings file that the demo wrote');
  return JSON.parse(readFileSync(path, 'utf8')) as Settings;
}

/** A TypeORM DataSource for `sqlite:path`, `mysql://…` or `mariadb://…`. */
export function dataSourceOf(url: string, entities: NonNullable<DataSourceOptions['entities']>): DataSource {
  if (url.startsWith('sqlite:')) {
    return new DataSource({ type: 'better-sqlite3', database: url.slice('sqlite:'.length), enableWAL: true, timeout: 5_000, entities });
  }
  const type = url.startsWith('mariadb:') ? 'mariadb' : 'mysql';
  return new DataSource({ type, url, poolSize: 10, entities });
}

/** Where the billing service consumes from. */
export function sourceOf(broker: Settings['broker']): MessageSource {
  if (broker.kind === 'embedded') return embeddedSource({ path: broker.path });
  return kafkajsSource({ brokers: broker.brokers, sessionTimeoutMs: 6_000 });
}

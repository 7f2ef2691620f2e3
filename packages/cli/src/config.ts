import type { Publisher } from '@txbox/core/spi';
import type { HttpOptions, RelaySettings, SidecarOptions } from '@txbox/relay';

/** A publisher described as data, for JSON files and environments: `kind` names the adapter, the rest are its options. */
export interface PublisherData {
  readonly kind: 'kafkajs' | 'platformatic' | 'embedded';
  readonly [option: string]: unknown;
}

/** What stands in `txbox.config.{ts,mts,js,mjs,json}`. */
export interface TxboxConfig {
  /** The service's database, where the outbox lies: `mysql://…`, `mariadb://…` or `sqlite:path`. */
  readonly database?: { readonly url: string; readonly tablePrefix?: string };
  /** Where the relay publishes to. */
  readonly publisher?: Publisher | PublisherData;
  /** How the relay works. */
  readonly relay?: RelaySettings;
  /** How the process of the relay starts and ends. */
  readonly sidecar?: SidecarOptions;
  /** Where the relay is watched; `false` = nowhere. Default: `127.0.0.1:9464`. */
  readonly http?: HttpOptions | false;
  /** A consumer's database, where the inbox lies. */
  readonly inbox?: { readonly database: { readonly url: string; readonly tablePrefix?: string } };
  /** Least severe lines that are logged. Default `info`. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
  /** For editors, in JSON files; not read. */
  readonly $schema?: string;
}

/** Types a configuration file; returns it unchanged. */
export function defineConfig(config: TxboxConfig): TxboxConfig {
  return config;
}

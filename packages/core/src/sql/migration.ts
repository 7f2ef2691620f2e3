import type { Dialect } from './dialect.ts';
import type { TableNames } from './table-names.ts';

/**
 * One step of a schema. It expands; what an older release still uses is taken away one release later at the earliest (P-T9).
 *
 * MySQL commits at every DDL statement, so a crash may leave any prefix of the statements done: each of them must be
 * harmless when run again (`IF NOT EXISTS`).
 */
export interface Migration {
  /** 1, 2, 3, … within its component. */
  readonly version: number;
  /** What it does, a few words. */
  readonly name: string;
  /** The lowest version that code must know to work with the schema after this step. */
  readonly minCodeVersion: number;
  statements(dialect: Dialect, tables: TableNames): readonly string[];
}

/** The tables of one package. */
export interface MigrationComponent {
  readonly name: string;
  /** Whose database has these tables: a service's (`producer`), a consumer's, or both kinds (`shared`). */
  readonly side: 'shared' | 'producer' | 'consumer';
  /** Ascending without gaps. The last one's version is what this code knows. */
  readonly migrations: readonly Migration[];
  /** The lowest schema version this code can work with. */
  readonly requires: number;
}

import type { Dialect } from './dialect.ts';

/** A table; column types as MySQL writes them, which SQLite reads as affinities. */
export interface TableDefinition {
  /** Definitions in order, without the keys. `SERIAL` as a type stands for the counting column. */
  readonly columns: readonly string[];
  /** The counting column, and the column that leads it in the primary key. */
  readonly serial?: { readonly column: string; readonly after?: string };
  readonly primaryKey?: string;
  /** Column lists. */
  readonly unique?: readonly string[];
  /** Column lists by index name. */
  readonly indexes?: Readonly<Record<string, string>>;
}

/** The statements that create a table unless it is there. `table` is quoted. */
export function createTable(dialect: Dialect, table: string, definition: TableDefinition): string[] {
  const { serial, serialKey, inlineIndexes, tableOptions } = dialect.ddl;
  const indexes = Object.entries(definition.indexes ?? {});
  const parts = definition.columns.map((column) => column.replace(/ SERIAL$/, ` ${serial}`));
  if (definition.serial) parts.push(serialKey(definition.serial.column, definition.serial.after));
  if (definition.primaryKey) parts.push(`PRIMARY KEY (${definition.primaryKey})`);
  for (const columns of definition.unique ?? []) parts.push(`UNIQUE (${columns})`);
  if (inlineIndexes) for (const [name, columns] of indexes) parts.push(`KEY ${name} (${columns})`);
  const statements = [`CREATE TABLE IF NOT EXISTS ${table} (\n  ${parts.filter((part) => part !== '').join(',\n  ')}\n)${tableOptions}`];
  if (inlineIndexes) return statements;
  // SQLite's index names are the database's, not the table's.
  const base = table.replaceAll('`', '');
  return [...statements, ...indexes.map(([name, columns]) => `CREATE INDEX IF NOT EXISTS \`${base}_${name}\` ON ${table} (${columns})`)];
}

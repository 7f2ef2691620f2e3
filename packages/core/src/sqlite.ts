export { type SqliteResource, sqliteResource } from './transaction/units/better-sqlite3.ts';
export { type SqliteDatabase, sessionOfDatabase } from './transaction/units/sqlite-wire.ts';

export { createOutbox, SqliteOutbox, type SqliteOutboxOptions, type SqliteTransaction } from './flavours/sqlite.ts';

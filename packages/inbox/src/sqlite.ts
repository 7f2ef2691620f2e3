export { createInbox, type SqliteHandlerContext, type SqliteInboxOptions } from './flavours/sqlite.ts';

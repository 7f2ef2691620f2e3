import { objectWith } from '@txbox/core/spi';
import { sqliteResource } from '@txbox/core/sqlite';
import type { Database } from 'better-sqlite3';
import type { HandlerContext } from '../handler-context.ts';
import { type Inbox, inboxOn } from '../inbox.ts';
import { type InboxOptions, resolveInboxOptions } from '../inbox-options.ts';

/** What `createInbox` takes. */
export interface SqliteInboxOptions extends InboxOptions {
  /** The consumer's own better-sqlite3 database; closed after `stop`. */
  readonly database: Database;
}

/** What a handler is told beside the payload. */
export interface SqliteHandlerContext extends HandlerContext {
  /** The database, in the transaction that remembers the message. */
  readonly database: Database;
}

/** Creates an inbox on a better-sqlite3 database. Throws `OPTIONS_INVALID` with every problem, `HANDLER_INVALID` or `HANDLER_MISSING`. */
export function createInbox(options: SqliteInboxOptions): Inbox<SqliteHandlerContext> {
  const { database, ...common } = resolveInboxOptions<Pick<SqliteInboxOptions, 'database'>>(options, {
    database: objectWith('prepare', 'exec', 'pragma'),
  });
  return inboxOn<SqliteHandlerContext>(sqliteResource(database), 'database', common);
}

import { type Mysql2Pool, poolResource } from '@txbox/core/mysql2';
import { objectWith } from '@txbox/core/spi';
import type { PoolConnection } from 'mysql2/promise';
import type { HandlerContext } from '../handler-context.ts';
import { type Inbox, inboxOn } from '../inbox.ts';
import { type InboxOptions, resolveInboxOptions } from '../inbox-options.ts';

/** What `createInbox` takes. */
export interface Mysql2InboxOptions extends InboxOptions {
  /** The consumer's own pool, of `mysql2/promise` or `mysql2`; ended after `stop`. */
  readonly pool: Mysql2Pool;
}

/** What a handler is told beside the payload. */
export interface Mysql2HandlerContext extends HandlerContext {
  /** The connection of the transaction that remembers the message: query and execute; plain queries of the pool join it too. */
  readonly connection: PoolConnection;
}

/** Creates an inbox on a mysql2 pool. Throws `OPTIONS_INVALID` with every problem, `HANDLER_INVALID` or `HANDLER_MISSING`. */
export function createInbox(options: Mysql2InboxOptions): Inbox<Mysql2HandlerContext> {
  const { pool, ...common } = resolveInboxOptions<Pick<Mysql2InboxOptions, 'pool'>>(options, {
    pool: objectWith('getConnection', 'query'),
  });
  return inboxOn<Mysql2HandlerContext>(poolResource(pool), 'connection', common);
}

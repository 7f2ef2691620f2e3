import { objectWith } from '@txbox/core/spi';
import { typeormResource } from '@txbox/core/typeorm';
import type { DataSource, EntityManager } from 'typeorm';
import type { HandlerContext } from '../handler-context.ts';
import { type Inbox, inboxOn } from '../inbox.ts';
import { type InboxOptions, resolveInboxOptions } from '../inbox-options.ts';

/** What `createInbox` takes. */
export interface TypeormInboxOptions extends InboxOptions {
  /** The consumer's own DataSource, of type mysql, mariadb or better-sqlite3; initialized before `start`, destroyed after `stop`. */
  readonly dataSource: DataSource;
}

/** What a handler is told beside the payload. */
export interface TypeormHandlerContext extends HandlerContext {
  /** Writes in the transaction that remembers the message; plain repositories of the DataSource join it too. */
  readonly manager: EntityManager;
}

/** Creates an inbox on a TypeORM DataSource. Throws `OPTIONS_INVALID` with every problem, `HANDLER_INVALID` or `HANDLER_MISSING`. */
export function createInbox(options: TypeormInboxOptions): Inbox<TypeormHandlerContext> {
  const { dataSource, ...common } = resolveInboxOptions<Pick<TypeormInboxOptions, 'dataSource'>>(options, {
    dataSource: objectWith('createQueryRunner', 'createEntityManager'),
  });
  return inboxOn<TypeormHandlerContext>(typeormResource(dataSource), 'manager', common);
}

import { type OnRedriven, tableNames } from '@txbox/core/spi';
import { RELAY_SCOPE } from '../outbox-store.ts';
import { MESSAGE_COLUMNS } from './named-rows.ts';

/** Keeps dead letters of the relay that were published after all, in the order of their places; gap markers too, as the outbox has them. */
export function archiveRedriven(tablePrefix?: string): OnRedriven {
  const { archive, deadLetter } = tableNames(tablePrefix);
  const selected = MESSAGE_COLUMNS.replace(' type,', " COALESCE(type, ''),");
  return async (session, ids) => {
    await session.execute(
      `INSERT INTO ${archive} (id, created_at, published_at, ${MESSAGE_COLUMNS})
       SELECT message_id, created_at, ${session.dialect.now}, ${selected}
       FROM ${deadLetter} WHERE scope = ? AND message_id IN (${ids.map(() => '?').join(', ')}) ORDER BY place`,
      [RELAY_SCOPE, ...ids],
    );
  };
}

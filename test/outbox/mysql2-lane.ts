import { createOutbox, type Mysql2Outbox, type Mysql2OutboxOptions } from '@txbox/outbox/mysql2';
import { type Pool as CallbackPool, createPool as createCallbackPool } from 'mysql2';
import { createPool, type Pool, type PoolConnection, type PoolOptions } from 'mysql2/promise';
import { SERVERS, ServiceDatabase } from './lane.ts';

export type Flavour = 'promise' | 'callback';

/** Every server with both flavours of a pool. */
export const POOL_LANES: readonly (readonly [string, (typeof SERVERS)[number], Flavour])[] = SERVERS.flatMap((server) =>
  (['promise', 'callback'] as const).map((flavour) => [`${flavour} pool on ${server[0]}`, server, flavour] as const),
);

/** A service without an ORM. */
export interface PoolService {
  readonly database: ServiceDatabase;
  /** In the flavour of the lane, as the outbox has it. */
  readonly given: Pool | CallbackPool;
  /** The same pool, to be awaited. */
  readonly pool: Pool;
  readonly outbox: Mysql2Outbox;
  close(): Promise<void>;
}

interface PoolServiceOptions {
  readonly outbox?: Partial<Mysql2OutboxOptions>;
  readonly pool?: PoolOptions;
  readonly url?: (url: string) => Promise<string>;
}

/** A database with its service, the outbox tables installed. */
export async function startPoolService(
  server: (typeof SERVERS)[number],
  flavour: Flavour,
  options: PoolServiceOptions = {},
): Promise<PoolService> {
  const database = await ServiceDatabase.create(server);
  const config = { uri: (await options.url?.(database.url)) ?? database.url, connectionLimit: 4, ...options.pool };
  const given = flavour === 'promise' ? createPool(config) : createCallbackPool(config);
  const pool = flavour === 'promise' ? (given as Pool) : (given as CallbackPool).promise();
  const outbox = createOutbox({ pool: given, ...options.outbox });
  await outbox.migrate();
  return {
    database,
    given,
    pool,
    outbox,
    close: async () => {
      await outbox.close();
      await pool.end();
      await database[Symbol.asyncDispose]();
    },
  };
}

export async function place(connection: Pick<PoolConnection, 'query'>, id: string, amount = 1): Promise<void> {
  await connection.query('INSERT INTO orders VALUES (?, ?)', [id, amount]);
}

import type { EventDefinition } from '@txbox/core';
import type { TypeormOutbox, TypeormOutboxOptions } from '@txbox/outbox/typeorm';
import * as typeorm1 from 'typeorm';
import * as typeorm03 from 'typeorm03';
import { SERVERS, type ServiceDatabase, startService } from './lane.ts';
import { startPoolService } from './mysql2-lane.ts';

type Server = (typeof SERVERS)[number];

/** What may be said of a subject. */
interface SubjectOptions {
  readonly outbox?: Partial<
    Pick<TypeormOutboxOptions, 'idempotency' | 'logger' | 'onLockTimeout' | 'unhandled' | 'name' | 'wake' | 'tablePrefix'>
  >;
  /** Default 4. */
  readonly connections?: number;
  /** Options of mysql2, which TypeORM's DataSource has by the same names. */
  readonly client?: object;
  /** What the service connects to; the database is there by then, and has no tables of the framework. */
  readonly url?: (url: string) => Promise<string>;
}

/** Adds an event about an order. */
type AddTo = (event: EventDefinition<string, { id: string }>, id: string) => Promise<unknown>;

/** A service that writes orders and events, whatever it is made of. */
export interface Subject {
  readonly database: ServiceDatabase;
  readonly outbox: Pick<TypeormOutbox, 'add' | 'transaction' | 'migrate' | 'close' | 'outside' | 'resource'>;
  /** Writes an order by plain use, in the open transaction if there is one. */
  place(id: string): Promise<unknown>;
  /** A statement by plain use; resolves to its rows. */
  query(sql: string): Promise<Record<string, unknown>[]>;
  /** Runs `work` in a transaction that the framework did not begin, with what `addTo` takes of it. */
  foreign(work: (addTo: AddTo) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

async function typeormSubject(
  server: Server,
  typeorm: typeof typeorm1,
  { outbox, connections = 4, client, url }: SubjectOptions = {},
): Promise<Subject> {
  const dataSource = { ...client, extra: { ...client, connectionLimit: connections } };
  const service = await startService(server, typeorm, { dataSource, ...(outbox && { outbox }), ...(url && { url }) });
  return {
    ...service,
    place: (id) => service.orders.insert({ id, amount: 1 }),
    query: (sql) => service.dataSource.query(sql),
    foreign: (work) => service.dataSource.transaction((manager) => work((event, id) => service.outbox.addTo(manager, event, { id }))),
  };
}

async function mysql2Subject(server: Server, { outbox, connections = 4, client, url }: SubjectOptions = {}): Promise<Subject> {
  const pool = { ...client, connectionLimit: connections };
  const service = await startPoolService(server, 'promise', { pool, ...(outbox && { outbox }), ...(url && { url }) });
  return {
    ...service,
    outbox: service.outbox as unknown as Subject['outbox'],
    place: (id) => service.pool.query('INSERT INTO orders VALUES (?, 1)', [id]),
    query: async (sql) => {
      const [rows] = await service.pool.query(sql);
      return rows as Record<string, unknown>[];
    },
    foreign: async (work) => {
      const connection = await service.pool.getConnection();
      await connection.beginTransaction();
      await work((event, id) => service.outbox.addTo(connection, event, { id }));
      await connection.commit();
      connection.release();
    },
  };
}

/** How a subject is started. */
export type StartSubject = (options?: SubjectOptions) => Promise<Subject>;

/** Every server with every client: name, and how it is started. */
export const SUBJECTS: readonly (readonly [name: string, start: StartSubject])[] = SERVERS.flatMap((server) => [
  [`TypeORM 1 on ${server[0]}`, (options?: SubjectOptions) => typeormSubject(server, typeorm1, options)] as const,
  [
    `TypeORM 0.3 on ${server[0]}`,
    (options?: SubjectOptions) => typeormSubject(server, typeorm03 as unknown as typeof typeorm1, options),
  ] as const,
  [`mysql2 on ${server[0]}`, (options?: SubjectOptions) => mysql2Subject(server, options)] as const,
]);

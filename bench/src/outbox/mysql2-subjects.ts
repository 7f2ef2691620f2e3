import { createOutbox } from '@txbox/outbox/mysql2';
import { createPool, type Pool } from 'mysql2/promise';
import { insertByHand, Purchased, payloadOf, rowByHand } from './purchased.ts';
import type { StartSubject, Subject } from './subject.ts';
import { type Purchase, purchaseByHand, purchaseOf } from './usual-transaction.ts';

const PREPARED_ROWS = 1_000;

/** The framework on a pool. */
export async function txboxMysql2(url: string): Promise<Subject> {
  const pool = poolOf(url);
  const outbox = createOutbox({ pool });
  return {
    run: (n, events) =>
      outbox.transaction(async (tx) => {
        const purchase = purchaseOf(n);
        await purchaseByHand(tx.connection, purchase);
        for (let at = 0; at < events; at += 1) tx.add(Purchased, payloadOf(purchase, at));
      }),
    close: async () => {
      await outbox.close();
      await pool.end();
    },
  };
}

/** The values of a purchase's events, as one INSERT takes them. */
type ValuesOf = (purchase: Purchase, events: number) => unknown[];

/** The pool by hand, with one INSERT. */
export const rawMysql2: StartSubject = (url) => byHand(url, valuesByHand);

/** The same of rows that were encoded before anything is measured: no service can have that. */
export const preparedMysql2: StartSubject = (url) => byHand(url, preparedValues());

async function byHand(url: string, valuesOf: ValuesOf): Promise<Subject> {
  const pool = poolOf(url);
  return {
    run: async (n, events) => {
      const purchase = purchaseOf(n);
      const connection = await pool.getConnection();
      try {
        await connection.beginTransaction();
        await purchaseByHand(connection, purchase);
        if (events > 0) await connection.query(insertByHand(events), valuesOf(purchase, events));
        await connection.commit();
      } catch (error) {
        await connection.rollback();
        throw error;
      } finally {
        connection.release();
      }
    },
    close: () => pool.end(),
  };
}

export function valuesByHand(purchase: Purchase, events: number): unknown[] {
  const values: unknown[] = [];
  for (let at = 0; at < events; at += 1) values.push(...rowByHand(payloadOf(purchase, at)));
  return values;
}

/** Hands out values of rows that are encoded here and now, each of which is written again and again. */
export function preparedValues(): ValuesOf {
  const rows = Array.from({ length: PREPARED_ROWS }, (_, n) => rowByHand(payloadOf(purchaseOf(n), n % 10)));
  let next = 0;
  return (_purchase, events) => {
    const values: unknown[] = [];
    for (let at = 0; at < events; at += 1) values.push(...(rows[next++ % PREPARED_ROWS] as unknown[]));
    return values;
  };
}

function poolOf(url: string): Pool {
  return createPool({ uri: url, connectionLimit: 4 });
}

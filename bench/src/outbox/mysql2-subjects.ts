import { createOutbox } from '@txbox/outbox/mysql2';
import { createPool, type Pool } from 'mysql2/promise';
import { insertByHand, Purchased, payloadOf, rowOf } from './purchased.ts';
import type { Subject } from './subject.ts';
import { purchaseByHand, purchaseOf } from './usual-transaction.ts';

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

/** The pool by hand, with one INSERT of rows that were encoded beforehand. */
export async function rawMysql2(url: string): Promise<Subject> {
  const pool = poolOf(url);
  const values = preparedValues();
  return {
    run: async (n, events) => {
      const connection = await pool.getConnection();
      try {
        await connection.beginTransaction();
        await purchaseByHand(connection, purchaseOf(n));
        if (events > 0) await connection.query(insertByHand(events), values(events));
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

/** Hands out values of so many rows, encoded before anything is measured. */
export function preparedValues(): (rows: number) => unknown[] {
  const rows = Array.from({ length: PREPARED_ROWS }, (_, n) => rowOf(payloadOf(purchaseOf(n), n % 10)));
  let next = 0;
  return (count) => Array.from({ length: count }, () => rows[next++ % PREPARED_ROWS] as unknown[]).flat();
}

function poolOf(url: string): Pool {
  return createPool({ uri: url, connectionLimit: 4 });
}

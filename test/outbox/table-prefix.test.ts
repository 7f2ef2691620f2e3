import { tableNames } from '@txbox/core/spi';
import { createOutbox as createMysql2Outbox } from '@txbox/outbox/mysql2';
import { createOutbox as createSqliteOutbox } from '@txbox/outbox/sqlite';
import { createOutbox as createTypeormOutbox } from '@txbox/outbox/typeorm';
import type { RowDataPacket } from 'mysql2/promise';
import { describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { SUBJECTS } from './subject.ts';

/** What would be another statement, another table, or a name that servers write differently. */
const HOSTILE: readonly unknown[] = [
  ...[
    '',
    ' ',
    'x; DROP TABLE orders; -- ',
    'x`; DROP TABLE orders; -- ',
    "x'",
    'x"',
    'x\\',
    'x/*',
    'x#',
    'x ',
    'x\n',
    'x\0',
    'x.y_',
    'x-y_',
    'x%',
    'x$',
  ],
  ...['1x_', '_x', '..', 'ä_', '\u212a_', '🙂_', `x${'y'.repeat(32)}`, null, 7, {}, ['x_'], { toString: () => 'x_' }],
];
const ALLOWED = ['re', 'X', 'select_', `x${'y'.repeat(31)}`];

const FLAVOURS = [
  ['typeorm', createTypeormOutbox],
  ['mysql2', createMysql2Outbox],
  ['sqlite', createSqliteOutbox],
] as const;

describe.each(FLAVOURS)('createOutbox of %s', (_flavour, create) => {
  it.each(HOSTILE.map((prefix) => [JSON.stringify(prefix), prefix]))('refuses the prefix %s', (_text, tablePrefix) => {
    const given = create as (options: unknown) => unknown;
    const problem = expect.stringContaining('tablePrefix must be a letter');
    expect(() => given({ tablePrefix })).toThrowError(expect.objectContaining({ code: 'OPTIONS_INVALID', message: problem }));
    expect(() => tableNames(tablePrefix as string)).toThrowError(expect.objectContaining({ code: 'OPTIONS_INVALID', message: problem }));
  });
});

describe.each(SUBJECTS)('the tables of %s', (_name, start) => {
  it.each(ALLOWED)('may have the prefix %s', async (tablePrefix) => {
    const subject = await start({ outbox: { tablePrefix, wake: false } });
    const { outbox, database } = subject;
    try {
      await outbox.transaction({ idempotencyKey: 'once' }, async (tx) => {
        await subject.place('a');
        tx.add(Placed, { id: 'a' });
      });
      const [rows] = await database.admin.query<RowDataPacket[]>(`SELECT type FROM \`${tablePrefix}outbox\``);
      expect([await database.orders(), rows]).toEqual([['a'], [{ type: 'order.placed' }]]);
    } finally {
      await subject.close();
    }
  });
});

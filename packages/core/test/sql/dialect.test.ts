import { describe, expect, it } from 'vitest';
import { mysqlDialect, sqliteDialect, TxboxError } from '../../src/spi.ts';

const failure = (facts: object): Error => Object.assign(new Error('failed'), facts);

describe('mysqlDialect.classify', () => {
  it.each([
    [{ errno: 1062, code: 'ER_DUP_ENTRY' }, 'duplicate'],
    [{ errno: 1213 }, 'deadlock'],
    [{ errno: 1206 }, 'deadlock'],
    [{ errno: 1020 }, 'deadlock'],
    [{ errno: 1205 }, 'lock-timeout'],
    [{ errno: 3572 }, 'lock-timeout'],
    [{ errno: 1146 }, 'missing-table'],
    [{ errno: 1290 }, 'read-only'],
    [{ errno: 1142 }, 'read-only'],
    [{ errno: 1143 }, 'read-only'],
    [{ errno: 1792 }, 'read-only'],
    [{ errno: 1927 }, 'connection-lost'],
    [{ code: 'PROTOCOL_CONNECTION_LOST', fatal: true }, 'connection-lost'],
    [{ code: 'ECONNRESET', errno: -104 }, 'connection-lost'],
    [{ message: "Can't add new command when connection is in closed state" }, 'connection-lost'],
    [{ errno: 1064 }, 'other'],
    [{}, 'other'],
  ])('%j is %s', (facts, kind) => {
    const { classify } = mysqlDialect();
    expect(classify(failure(facts))).toBe(kind);
    expect(classify(failure({ driverError: failure(facts) }))).toBe(kind);
  });

  it('is total', () => {
    for (const value of [undefined, null, 'text', 5, {}, []]) expect(mysqlDialect().classify(value)).toBe('other');
    expect(mysqlDialect().classify(new TxboxError('DATABASE_UNAVAILABLE', 'away'))).toBe('connection-lost');
  });
});

describe('sqliteDialect.classify', () => {
  it.each([
    [{ code: 'SQLITE_CONSTRAINT_UNIQUE' }, 'duplicate'],
    [{ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' }, 'duplicate'],
    [{ code: 'SQLITE_CONSTRAINT_NOTNULL' }, 'other'],
    [{ code: 'SQLITE_BUSY' }, 'lock-timeout'],
    [{ code: 'SQLITE_BUSY_SNAPSHOT' }, 'lock-timeout'],
    [{ code: 'SQLITE_READONLY' }, 'read-only'],
    [{ code: 'SQLITE_ERROR', message: 'no such table: txbox_meta' }, 'missing-table'],
    [{ code: 'SQLITE_ERROR', message: 'syntax error' }, 'other'],
  ])('%j is %s', (facts, kind) => {
    expect(sqliteDialect.classify(failure(facts))).toBe(kind);
    expect(sqliteDialect.classify(failure({ driverError: failure(facts) }))).toBe(kind);
  });
});

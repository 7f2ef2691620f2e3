import { describe, expect, it } from 'vitest';
import { mysqlDialect } from '../../src/sql/dialects/mysql.ts';
import { sqliteDialect } from '../../src/sql/dialects/sqlite.ts';
import { judge, PLAIN } from '../../src/transaction/doom.ts';
import { excerpt } from '../../src/transaction/statement-text.ts';

const mysql = mysqlDialect();
const judged = (sql: string, multiple = false) => judge(sql, mysql, multiple);

describe('a statement is not sent', () => {
  it.each([
    'COMMIT',
    'commit;',
    ' /* c */ COMMIT /* d */',
    'COMMIT AND CHAIN',
    'ROLLBACK',
    'ROLLBACK WORK',
    'ROLLBACK -- to the start',
    'BEGIN',
    'BEGIN /* trace */',
    'BEGIN/**/',
    'BEGIN WORK',
    'start /*c*/ transaction',
    'START TRANSACTION READ ONLY',
    '/*!50003 ROLLBACK AND CHAIN */',
    '/*M!100100 */ /*! ROLLBACK */ AND CHAIN',
    '# note\nCOMMIT',
    '-- note\nCOMMIT',
    'XA START "x"',
    'LOCK/**/TABLES a WRITE',
    'UNLOCK TABLES',
    'SET autocommit=0',
    'SET @a = 1, @@session.autocommit = 0',
    'CREATE /* x */ TABLE a (id INT)',
    'ALTER TABLE a ADD b INT',
    'TRUNCATE a',
    'RENAME TABLE a TO b',
    'SET PASSWORD = "x"',
  ])('%s', (sql) => {
    expect(judged(sql).doom).toBeDefined();
  });

  it.each([
    'SELECT 1; COMMIT',
    "SELECT 1 /* it's */; ROLLBACK AND CHAIN; SELECT 'x'",
    "SELECT '/*'; COMMIT; SELECT '*/'",
    'INSERT INTO a VALUES (1); -- ;\nDROP TABLE a',
  ])('in a text of several: %s', (sql) => {
    expect(judged(sql, true).doom).toBeDefined();
  });

  it.each(['BEGIN IMMEDIATE', 'BEGIN EXCLUSIVE TRANSACTION', 'END', 'END TRANSACTION', 'COMMIT', 'ROLLBACK --x'])(
    'on SQLite: %s',
    (sql) => {
      expect(judge(sql, sqliteDialect, false).doom).toBeDefined();
    },
  );
});

it.each([
  'SELECT 1',
  "INSERT INTO a VALUES ('COMMIT; ROLLBACK')",
  'CREATE TEMPORARY TABLE a (id INT)',
  'DROP TEMPORARY TABLE a',
  "SET @word = 'autocommit'",
  'SET @x = 1 -- autocommit',
  'START SLAVE_IS_NOT_THIS',
  'UPDATE commits SET a = 1',
])('a statement that ends nothing is sent: %s', (sql) => {
  expect(judged(sql)).toEqual(PLAIN);
});

it('quotes of a text of several do not hide nor make statements', () => {
  expect(judged('INSERT INTO a VALUES (\'; COMMIT\'); SELECT "; ROLLBACK", `; BEGIN`', true)).toMatchObject({
    savepoints: [],
    several: true,
  });
});

it.each([
  ['SAVEPOINT a', ['SAVEPOINT a']],
  ['SAVEPOINT a /* b */;', ['SAVEPOINT a']],
  ['/* a */ rollback to savepoint `a b` -- c', ['rollback to savepoint `a b`']],
  ['ROLLBACK /* x */ WORK TO a', ['ROLLBACK   WORK TO a']],
  ['RELEASE SAVEPOINT a', ['RELEASE SAVEPOINT a']],
])('statements on savepoints are read: %s', (sql, savepoints) => {
  expect(judged(sql)).toEqual({ savepoints, opaque: false, several: false });
});

it('of a text of several the savepoints are read in order', () => {
  expect(judged('SAVEPOINT a; INSERT INTO b VALUES (1); ROLLBACK TO a;', true)).toEqual({
    savepoints: ['SAVEPOINT a', 'ROLLBACK TO a'],
    opaque: false,
    several: true,
  });
});

describe('a statement that may do anything is told apart', () => {
  it.each([
    'CALL p()',
    '/* x */ call p(1)',
    'EXECUTE s',
    "EXECUTE IMMEDIATE 'ROLLBACK'",
    'BEGIN NOT ATOMIC ROLLBACK AND CHAIN; END',
    'IF 1 THEN ROLLBACK; END IF',
    'SET STATEMENT max_statement_time = 5 FOR COMMIT',
    '/*!999999 SELECT 1 */ ROLLBACK AND CHAIN',
  ])('%s', (sql) => {
    const { opaque, doom } = judged(sql);
    expect(opaque || doom !== undefined).toBe(true);
  });

  it('among others, to the end of a compound statement', () => {
    expect(judged('SELECT 1; BEGIN NOT ATOMIC SELECT 1; COMMIT; END', true)).toMatchObject({ opaque: true, several: true });
    expect(judge('CALL p()', sqliteDialect, false).opaque).toBe(false);
  });
});

it('messages show no values', () => {
  expect(excerpt("ALTER USER bob IDENTIFIED BY 'hunter2' PASSWORD EXPIRE")).toBe(`"ALTER USER bob IDENTIFIED BY '…'"`);
  expect(excerpt('SET PASSWORD = "hunter2')).not.toContain('hunter2');
  expect(judged("ALTER USER bob IDENTIFIED BY 'hunter2'").doom?.reason).not.toContain('hunter2');
});

it('long texts are not read to their end', () => {
  const sql = `INSERT INTO a VALUES ${"('x'), ".repeat(1_000_000)}('x')`;
  expect(judged(sql)).toBe(PLAIN);
});

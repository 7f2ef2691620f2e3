import { createInbox as createMysql2Inbox } from '@txbox/inbox/mysql2';
import { createInbox } from '@txbox/inbox/sqlite';
import { createInbox as createTypeormInbox } from '@txbox/inbox/typeorm';
import { describe, expect, it } from 'vitest';
import { resolveInboxOptions } from '../src/inbox-options.ts';

const problemsOf = (create: () => unknown): unknown => {
  try {
    create();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('createInbox', () => {
  it('reports every problem in one error', () => {
    const options = {
      database: {},
      group: 'g'.repeat(65),
      source: {},
      handlers: 'all',
      topics: [],
      batchSize: 0,
      retry: { baseMs: 100, capMs: 10 },
      onUnknown: 'park',
      tablePrefix: 'a-b',
      logger: console.log,
      speed: 'fast',
    };
    const error = problemsOf(() => createInbox(options as never)) as { code: string; message: string };
    expect(error.code).toBe('OPTIONS_INVALID');
    for (const name of Object.keys(options)) expect(error.message).toContain(name);
  });

  it('needs a database of its flavour and a group', () => {
    const missing = (name: string) => ({ code: 'OPTIONS_INVALID', message: expect.stringContaining(`${name} is required`) });
    expect(problemsOf(() => createInbox({} as never))).toMatchObject(missing('database'));
    expect(problemsOf(() => createMysql2Inbox({} as never))).toMatchObject(missing('pool'));
    expect(problemsOf(() => createTypeormInbox({} as never))).toMatchObject(missing('dataSource'));
    expect(problemsOf(() => createTypeormInbox({} as never))).toMatchObject(missing('group'));
  });

  it('measures the group in bytes', () => {
    const rules = {};
    expect(resolveInboxOptions<object>({ group: 'ü'.repeat(32) }, rules).group).toHaveLength(32);
    expect(problemsOf(() => resolveInboxOptions<object>({ group: 'ü'.repeat(33) }, rules))).toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('fills in defaults', () => {
    expect(resolveInboxOptions<object>({ group: 'billing', retry: { capMs: 5_000 } }, {})).toMatchObject({
      name: 'billing',
      handlers: [],
      batchSize: 100,
      retry: { baseMs: 200, capMs: 5_000 },
      onUnknown: 'hold',
      tablePrefix: 'txbox_',
    });
  });
});

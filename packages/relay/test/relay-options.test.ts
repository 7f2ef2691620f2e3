import { isTxboxError } from '@txbox/core';
import { createRelay, type RelayOptions } from '@txbox/relay';
import { MemoryLog } from '@txbox/testing';
import { expect, it } from 'vitest';

const publisher = new MemoryLog().publisher();

function problemsOf(options: object): readonly string[] {
  try {
    createRelay(options as RelayOptions);
  } catch (error) {
    if (isTxboxError(error, 'OPTIONS_INVALID')) return error.details?.['problems'] as string[];
    throw error;
  }
  return [];
}

it('takes a database and a publisher, and needs nothing else', () => {
  expect(problemsOf({ database: { url: 'sqlite:service.db' }, publisher })).toEqual([]);
});

it('names every problem at once', () => {
  const problems = problemsOf({
    database: {},
    publisher: {},
    leaseTtlMs: 10,
    pollMinMs: 0,
    lowLagMs: 1.5,
    pageRows: '500',
    retry: { baseMs: -1 },
    wake: { host: 'a', prot: 1 },
    pollMs: 5,
  });
  const names = ['database', 'publisher', 'leaseTtlMs', 'pollMinMs', 'lowLagMs', 'pageRows', 'retry', 'wake', 'unknown option pollMs'];
  for (const name of names) expect(problems.filter((problem) => problem.startsWith(name))).toHaveLength(1);
  expect(problems).toHaveLength(names.length);
});

it('refuses options that contradict each other', () => {
  const problems = problemsOf({
    database: { url: 'sqlite:service.db' },
    publisher,
    pollMinMs: 100,
    pollMaxMs: 50,
    pageRows: 500,
    maxRows: 999,
  });
  expect(problems).toEqual([expect.stringContaining('pollMinMs'), expect.stringContaining('maxRows')]);
});

it('shows no secret of the database in what it says', () => {
  const problems = problemsOf({ database: { url: 'mysql://me:secret@host/db', table: 'x' }, publisher });
  expect(problems).toEqual([expect.stringMatching(/^database .*table/)]);
  expect(problems.join()).not.toContain('secret');
});

it('takes an archive with a retention, or none', () => {
  const given = (archive: unknown): readonly string[] => problemsOf({ database: { url: 'sqlite:service.db' }, publisher, archive });
  expect(given({ retentionMs: 86_400_000 })).toEqual([]);
  expect(given(false)).toEqual([]);
  for (const wrong of [true, {}, { retentionMs: 0 }, { retentionMs: 1, days: 7 }]) {
    expect(given(wrong)).toEqual([expect.stringMatching(/^archive .*(retentionMs|days)/)]);
  }
});

// A TypeORM code base of ten entities gets events by decorators and one line of set-up, with no other change.
import { describe, expect, it } from 'vitest';
import { shopBefore } from './code-base.ts';

describe('what a code base needs for events', () => {
  const { files, without } = shopBefore();
  const linesOf = (kind: string): string[] => without.filter((added) => added.kind === kind).map(({ line }) => line);

  it('is decorators on methods and one line of set-up, with their imports and the definitions of the events', () => {
    expect(linesOf('setUp')).toEqual(['export const outbox = createOutbox({ dataSource });']);
    expect(linesOf('decorator')).toHaveLength(14);
    expect(linesOf('definitions')).toHaveLength(1);
    // Two imports in each of the six services with decorators, and that of createOutbox.
    expect(linesOf('import')).toHaveLength(13);
    expect(without).toHaveLength(1 + 14 + 1 + 13);
  });

  it('is nothing in its entities, and nothing is left where it is taken away', () => {
    expect([...files.keys()].filter((file) => file.startsWith('entities/'))).toHaveLength(10);
    expect(without.filter(({ file }) => file.startsWith('entities/'))).toEqual([]);
    expect([...files].filter(([, text]) => /txbox|outbox|events\.ts|Publishes|Transactional/i.test(text))).toEqual([]);
  });
});

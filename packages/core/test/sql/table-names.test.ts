import { describe, expect, it } from 'vitest';
import { tableNames } from '../../src/spi.ts';

describe('tableNames', () => {
  it('quotes, since a prefix may complete a reserved word', () => {
    expect(tableNames().outbox).toBe('`txbox_outbox`');
    expect(tableNames('re').lease).toBe('`release`');
  });

  it.each(['', '1a', '_a', 'a-b', 'a b', 'a`b', "a'; DROP TABLE x; --", 'ä', `a${'x'.repeat(32)}`, 'a\n', null, 5])(
    'refuses the prefix %j',
    (prefix) => {
      expect(() => tableNames(prefix as string)).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
    },
  );
});

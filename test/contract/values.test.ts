import { readFileSync } from 'node:fs';
import { jsonCodec } from '@txbox/core';
import { describe, expect, it } from 'vitest';

/** The table of docs/contracts.md: an expression, and what becomes of its value. */
const page = readFileSync(new URL('../../docs/contracts.md', import.meta.url), 'utf8');
const rows = page
  .slice(page.indexOf('<!-- values -->'), page.indexOf('## Headers'))
  .split('\n')
  .slice(3)
  .map((line) => /^\| `(.+)` \| (.+) \|$/.exec(line))
  .filter((row) => row !== null)
  .map(([, expression = '', becomes = '']) => [expression, becomes] as const)
  .filter(([, becomes]) => /^(?:refused\b|`)/.test(becomes));

describe('what becomes of a value, by docs/contracts.md', () => {
  it('is a table', () => {
    expect(rows.length).toBeGreaterThan(20);
  });

  it.each(rows)('%s', (expression, becomes) => {
    // In this realm, as users' values are.
    const value: unknown = new Function(`return (${expression});`)();
    if (becomes.startsWith('refused')) expect(() => jsonCodec.encode(value)).toThrow();
    else expect(Buffer.from(jsonCodec.encode(value)).toString()).toBe(becomes.slice(1, -1));
  });

  it('changes no prototype', () => {
    const decoded = jsonCodec.decode(Buffer.from('{"__proto__":{"admin":true}}')) as { admin?: boolean };
    expect(decoded.admin).toBeUndefined();
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });
});

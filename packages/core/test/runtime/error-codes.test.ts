import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ErrorCode } from '../../src/index.ts';

const page = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8');
const sections = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);

describe('docs/errors.md', () => {
  it('documents every code, and no other', () => {
    expect([...sections.keys()].toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted());
  });

  it.each(Object.keys(ERROR_CODES) as ErrorCode[])('says why %s happens, the way out, and whether it may pass', (code) => {
    const section = sections.get(code);
    expect(section).toMatch(/\n- Why: .+\n- Way out: .+\n/);
    expect(section).toContain(`- Retryable: ${ERROR_CODES[code].retryable ? 'yes' : 'no'}\n`);
  });
});

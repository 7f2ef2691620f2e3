import { readFileSync } from 'node:fs';
import { REFUSALS, type RefusalCode } from '@txbox/relay';
import { expect, it } from 'vitest';
import { DATABASE_RULES } from '../../src/doctor/database-rules.ts';
import { PUBLISHING_RULES } from '../../src/doctor/publisher-rules.ts';
import { SETTINGS_RULES } from '../../src/doctor/settings-rules.ts';

const page = readFileSync(new URL('../../../../docs/doctor.md', import.meta.url), 'utf8');
const sections = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);

it('docs/doctor.md documents every code, and no other', () => {
  expect([...sections.keys()].toSorted()).toEqual(Object.keys(REFUSALS).toSorted());
});

it.each(Object.keys(REFUSALS) as RefusalCode[])(
  'docs/doctor.md says whether %s refuses, why, the way out, and when to accept it',
  (code) => {
    const section = sections.get(code);
    expect(section).toMatch(REFUSALS[code].severity === 'refuse' ? /^\w+\n\nRefused[.,]/ : /^\w+\n\nA warning\./);
    expect(section).toMatch(/\n- Why: .+\n- Way out: .+\n- Accept it: .+\n/);
  },
);

it('every code has one rule', () => {
  const codes = [...DATABASE_RULES, ...PUBLISHING_RULES, ...SETTINGS_RULES].map(({ code }) => code);
  expect(codes.toSorted()).toEqual(Object.keys(REFUSALS).toSorted());
});

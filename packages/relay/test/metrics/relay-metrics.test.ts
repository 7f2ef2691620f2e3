import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { RELAY_METRICS } from '../../src/metrics/relay-metrics.ts';

it('docs/operations/watching.md lists every metric with its kind and labels, and no other', () => {
  const page = readFileSync(new URL('../../../../docs/operations/watching.md', import.meta.url), 'utf8');
  const listed = [...page.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|/gm)].map(([, name, kind, labels = '']) => ({
    name,
    kind,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
  }));
  const declared = Object.values(RELAY_METRICS).map(({ name, kind, labels }) => ({ name, kind, labels: [...labels] }));
  const byName = (a: { readonly name?: string | undefined }, b: { readonly name?: string | undefined }): number =>
    String(a.name).localeCompare(String(b.name));
  expect(listed.sort(byName)).toEqual(declared.sort(byName));
});

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

const ROOT = join(import.meta.dirname, '../..');
const FOLDER = join(ROOT, 'docs/operations');
const SITUATIONS = join(import.meta.dirname, 'alerts.promtool.yaml');
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly runbook: string };
}
const RULES = (parse(read('alerts.yaml')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}
const PANELS = (JSON.parse(read('dashboard.json')) as { panels: Panel[] }).panels;

/** Metric names, with the series of its histograms, and the values of each label that has a closed set. */
const METRICS = new Map(
  [...read('watching.md').matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|([^|]*)\|/gm)].flatMap(
    ([, name = '', kind, labels = '']) => {
      const known = [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label);
      const series = kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
      return series.map((one) => [one, kind === 'histogram' ? [...known, 'le'] : known] as const);
    },
  ),
);

/** What `expr` asks for that no relay has: metrics, and labels that they do not bear (Prometheus adds `job` and `instance`). */
function unknownIn(expr: string): readonly string[] {
  const names = expr.match(/\b(?:txbox_relay|process)_[a-z_]+/g) ?? [];
  const labels = [...expr.matchAll(/(?:\bby \(([^)]*)\)|\{([^}]*)\})/g)].flatMap(([, by, matchers]) =>
    by === undefined ? [...(matchers ?? '').matchAll(/(\w+)(?==|!=)/g)].map(([, label = '']) => label) : by.split(/,\s*/),
  );
  const known = ['job', 'instance', ...names.flatMap((name) => METRICS.get(name) ?? [])];
  return [...names.filter((name) => !METRICS.has(name)), ...labels.filter((label) => !known.includes(label))];
}

it('promtool accepts the alert rules, and sees each fire when it should and not beside it', () => {
  const stdout = execFileSync(process.execPath, [join(ROOT, 'tools/services.mjs'), 'tools', 'promtool'], { encoding: 'utf8' });
  const promtool = stdout.trim().slice('TXBOX_TOOL_PROMTOOL='.length);
  const said = execFileSync(promtool, ['check', 'rules', join(FOLDER, 'alerts.yaml')], { encoding: 'utf8' });
  expect(said).toContain(`SUCCESS: ${RULES.length} rules found`);
  expect(execFileSync(promtool, ['test', 'rules', SITUATIONS], { encoding: 'utf8' })).toContain('SUCCESS');
}, 120_000);

it.each(RULES.map((rule) => [rule.alert, rule] as const))(
  'alert %s asks for metrics that there are, and leads to its symptom',
  (_name, rule) => {
    expect(rule.expr).toMatch(/txbox_relay_|^up/);
    expect(unknownIn(rule.expr)).toEqual([]);
    expect(readFileSync(SITUATIONS, 'utf8')).toContain(`alertname="${rule.alert}"`);
    const anchors = [...read('runbook.md').matchAll(/^## (.*)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-'));
    expect(anchors.map((anchor) => `runbook.md#${anchor}`)).toContain(rule.annotations.runbook);
  },
);

it.each(PANELS.map((panel) => [panel.title, panel] as const))('panel %s asks for metrics that there are', (_title, { targets }) => {
  expect(targets.flatMap(({ expr }) => expr.match(/txbox_relay_|process_/g) ?? [])).not.toEqual([]);
  expect(targets.flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
});

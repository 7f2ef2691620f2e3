import { describe, expect, it } from 'vitest';
import { type MetricDefinition, Metrics } from '../../src/spi.ts';

const plain: MetricDefinition<never> = { name: 'a_total', kind: 'counter', help: 'Of a.', labels: [] };
const labelled: MetricDefinition<'topic' | 'kind'> = { name: 'b', kind: 'gauge', help: 'Of\nb\\.', labels: ['topic', 'kind'] };
const timed: MetricDefinition<'outcome'> = { name: 'c_seconds', kind: 'histogram', help: 'Of c.', labels: ['outcome'], buckets: [0.1, 1] };

describe('metrics', () => {
  it('stand in the text format, counters without labels from the start', () => {
    const metrics = new Metrics([plain, labelled, timed]);
    expect(metrics.text()).toBe('# HELP a_total Of a.\n# TYPE a_total counter\na_total 0\n');
    metrics.value(plain, {}).add(2);
    metrics.value(plain, {}).add();
    metrics.set(labelled, { topic: 'orders', kind: 'x' }, 1.5);
    expect(metrics.text()).toBe(
      '# HELP a_total Of a.\n# TYPE a_total counter\na_total 3\n# HELP b Of\\nb\\\\.\n# TYPE b gauge\nb{topic="orders",kind="x"} 1.5\n',
    );
  });

  it('count observations up to and including a bound, cumulated', () => {
    const metrics = new Metrics([timed]);
    for (const seconds of [0.05, 0.1, 0.5, 7]) metrics.histogram(timed, { outcome: 'ok' }).observe(seconds);
    expect(metrics.text().split('\n').slice(2)).toEqual([
      'c_seconds_bucket{outcome="ok",le="0.1"} 2',
      'c_seconds_bucket{outcome="ok",le="1"} 3',
      'c_seconds_bucket{outcome="ok",le="+Inf"} 4',
      'c_seconds_sum{outcome="ok"} 7.65',
      'c_seconds_count{outcome="ok"} 4',
      '',
    ]);
  });

  it('escape what labels hold', () => {
    const metrics = new Metrics([labelled]);
    metrics.set(labelled, { topic: 'a"b\\c\nd', kind: '' }, Number.NaN);
    expect(metrics.text().split('\n')[2]).toBe('b{topic="a\\"b\\\\c\\nd",kind=""} NaN');
  });

  it('forget the values of a gauge that is set anew', () => {
    const metrics = new Metrics([labelled]);
    metrics.set(labelled, { topic: 'a', kind: '' }, 1);
    metrics.clear(labelled);
    expect(metrics.text()).toBe('');
  });

  it('refuse what Prometheus would not take, all problems at once', () => {
    const wrong: MetricDefinition[] = [
      { name: 'Bad', kind: 'gauge', help: '', labels: ['le'] },
      { name: 'raised', kind: 'counter', help: '', labels: [] },
      { name: 'd_seconds', kind: 'histogram', help: '', labels: [], buckets: [1, 1] },
    ];
    for (const definition of wrong) expect(() => new Metrics([definition])).toThrow(/^Metrics: /);
    expect(() => new Metrics([plain, plain])).toThrow('declared twice');
    expect(() => new Metrics([]).value(plain, {})).toThrow(RangeError);
  });
});

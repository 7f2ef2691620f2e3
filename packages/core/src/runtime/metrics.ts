import { TxboxError } from './error.ts';

/** How a metric behaves: a counter only rises, a gauge shows what is now, a histogram counts what was observed by size. */
export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** A metric as a package declares it, once, in its table of metrics. */
export interface MetricDefinition<Label extends string = string> {
  /** Prometheus name with its unit: `txbox_relay_send_duration_seconds`; counters end in `_total`. */
  readonly name: string;
  readonly kind: MetricKind;
  /** One sentence. */
  readonly help: string;
  /** Names of labels; whoever declares one sees to it that it has few values. */
  readonly labels: readonly Label[];
  /** Upper bounds of a histogram, ascending, without infinity. */
  readonly buckets?: readonly number[];
}

/** Values of a metric's labels. */
export type MetricLabels<Definition extends MetricDefinition> = Readonly<Record<Definition['labels'][number], string>>;

/** Media type of {@link Metrics.text}. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const NAME = /^[a-z][a-z0-9_]*$/;

/**
 * Metrics of a process part, in memory, given out in the text format of Prometheus (0.0.4). Setting one never throws and
 * never waits. A metric without labels shows from the start, so that a rate over its first event is one; a metric with
 * labels shows those values that it has met.
 */
export class Metrics {
  readonly #series: Map<string, Series> = new Map();

  /** Throws `OPTIONS_INVALID` for names and buckets that Prometheus would not take. */
  constructor(definitions: Iterable<MetricDefinition>) {
    for (const definition of definitions) this.#series.set(checkedName(definition, this.#series), seriesOf(definition));
  }

  /** Raises a counter. */
  add<Definition extends MetricDefinition>(definition: Definition, labels: MetricLabels<Definition>, by = 1): void {
    const series = this.#of(definition);
    const line = series.lineOf(labels);
    series.values.set(line, (series.values.get(line) ?? 0) + by);
  }

  /** Sets a gauge, or a counter that somebody else counts. */
  set<Definition extends MetricDefinition>(definition: Definition, labels: MetricLabels<Definition>, value: number): void {
    const series = this.#of(definition);
    series.values.set(series.lineOf(labels), value);
  }

  /** Forgets all values of a gauge: what is set next is all that there is. */
  clear(definition: MetricDefinition): void {
    this.#of(definition).values.clear();
  }

  /** Adds to a histogram. */
  observe<Definition extends MetricDefinition>(definition: Definition, labels: MetricLabels<Definition>, value: number): void {
    const series = this.#of(definition);
    const line = series.lineOf(labels);
    let observed = series.histograms.get(line);
    if (!observed) {
      observed = emptyHistogram(series.definition);
      series.histograms.set(line, observed);
    }
    const bucket = series.definition.buckets?.findIndex((bound) => value <= bound) ?? -1;
    if (bucket >= 0) observed.counts[bucket] = (observed.counts[bucket] ?? 0) + 1;
    observed.count += 1;
    observed.sum += value;
  }

  /** All metrics in the text format. */
  text(): string {
    return [...this.#series.values()].flatMap(linesOf).join('');
  }

  #of(definition: MetricDefinition): Series {
    const series = this.#series.get(definition.name);
    if (!series) throw new RangeError(`There is no metric ${definition.name} here.`);
    return series;
  }
}

interface Histogram {
  /** What fell into each bucket, not cumulated. */
  readonly counts: number[];
  count: number;
  sum: number;
}

interface Series {
  readonly definition: MetricDefinition;
  /** By labels as they stand in the text, without braces. */
  readonly values: Map<string, number>;
  readonly histograms: Map<string, Histogram>;
  lineOf(labels: Readonly<Record<string, string>>): string;
}

function checkedName({ name, kind, labels, buckets = [] }: MetricDefinition, known: ReadonlyMap<string, unknown>): string {
  const problems = [
    ...(NAME.test(name) ? [] : [`metric ${name} must consist of a-z, 0-9 and _`]),
    ...(known.has(name) ? [`metric ${name} is declared twice`] : []),
    ...((kind === 'counter') === name.endsWith('_total') ? [] : [`metric ${name} is a ${kind}: counters, and only they, end in _total`]),
    ...labels.filter((label) => !NAME.test(label) || label === 'le').map((label) => `metric ${name} has the label ${label}`),
    ...((kind === 'histogram') === buckets.length > 0 ? [] : [`metric ${name} is a ${kind} with ${buckets.length} buckets`]),
    ...(buckets.every((bound, index) => index === 0 || bound > (buckets[index - 1] as number)) ? [] : [`buckets of ${name} must ascend`]),
  ];
  if (problems.length > 0) throw new TxboxError('OPTIONS_INVALID', `Metrics: ${problems.join('; ')}.`, { details: { problems } });
  return name;
}

function seriesOf(definition: MetricDefinition): Series {
  const { kind, labels } = definition;
  const bare = labels.length === 0;
  return {
    definition,
    values: new Map(bare && kind !== 'histogram' ? [['', 0]] : []),
    histograms: new Map(bare && kind === 'histogram' ? [['', emptyHistogram(definition)]] : []),
    lineOf: (given) => labels.map((label) => `${label}="${escaped(given[label] ?? '').replaceAll('"', '\\"')}"`).join(','),
  };
}

function emptyHistogram({ buckets = [] }: MetricDefinition): Histogram {
  return { counts: buckets.map(() => 0), count: 0, sum: 0 };
}

function linesOf({ definition, values, histograms }: Series): string[] {
  const { name, kind, help, buckets = [] } = definition;
  const lines = [...values].map(([labels, value]) => `${name}${braced(labels)} ${numberText(value)}\n`);
  for (const [labels, { counts, count, sum }] of histograms) {
    let below = 0;
    const bucket = (bound: string, total: number): string =>
      `${name}_bucket${braced(`${labels === '' ? '' : `${labels},`}le="${bound}"`)} ${total}\n`;
    for (const [index, bound] of buckets.entries()) {
      below += counts[index] ?? 0;
      lines.push(bucket(numberText(bound), below));
    }
    lines.push(bucket('+Inf', count), `${name}_sum${braced(labels)} ${numberText(sum)}\n`, `${name}_count${braced(labels)} ${count}\n`);
  }
  return lines.length === 0 ? [] : [`# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${kind}\n`, ...lines];
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

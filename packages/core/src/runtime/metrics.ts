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

/** One line of a counter or gauge. Keep it: changing its value allocates nothing. */
export class MetricValue {
  value: number;

  constructor(value: number) {
    this.value = value;
  }

  /** Raises a counter. */
  add(by = 1): void {
    this.value += by;
  }
}

/** The lines of a histogram for one set of labels. Keep it: observing allocates nothing. */
export class MetricHistogram {
  readonly #bounds: readonly number[];
  /** What fell into each bucket, not cumulated. */
  readonly counts: number[];
  count = 0;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.count += 1;
    this.sum += value;
    for (let index = 0; index < this.#bounds.length; index++) {
      if (value > (this.#bounds[index] as number)) continue;
      this.counts[index] = (this.counts[index] as number) + 1;
      return;
    }
  }
}

/**
 * Metrics of a process part, in memory, given out in the text format of Prometheus (0.0.4). Setting one never throws and
 * never waits. A metric without labels shows from the start, so that a rate over its first event is one; a metric with
 * labels shows those values that were asked for.
 */
export class Metrics {
  readonly #series: Map<string, Series> = new Map();

  /** Throws `OPTIONS_INVALID` for names and buckets that Prometheus would not take. */
  constructor(definitions: Iterable<MetricDefinition>) {
    for (const definition of definitions) this.#series.set(checkedName(definition, this.#series), seriesOf(definition));
  }

  /** The line of a counter or gauge with these labels, the same for every call, at 0 when it is new. */
  value<Definition extends MetricDefinition>(definition: Definition, labels: MetricLabels<Definition>): MetricValue {
    const { values } = this.#of(definition);
    const line = lineOf(definition, labels);
    const known = values.get(line);
    if (known) return known;
    const value = new MetricValue(0);
    values.set(line, value);
    return value;
  }

  /** The histogram with these labels, the same for every call. */
  histogram<Definition extends MetricDefinition>(definition: Definition, labels: MetricLabels<Definition>): MetricHistogram {
    const { histograms } = this.#of(definition);
    const line = lineOf(definition, labels);
    const known = histograms.get(line);
    if (known) return known;
    const histogram = new MetricHistogram(definition.buckets ?? []);
    histograms.set(line, histogram);
    return histogram;
  }

  /** Sets a gauge, or a counter that somebody else counts. */
  set<Definition extends MetricDefinition>(definition: Definition, labels: MetricLabels<Definition>, value: number): void {
    this.value(definition, labels).value = value;
  }

  /** Forgets all values of a gauge: what is set next is all that there is. */
  clear(definition: MetricDefinition): void {
    this.#of(definition).values.clear();
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

interface Series {
  readonly definition: MetricDefinition;
  /** By labels as they stand in the text, without braces. */
  readonly values: Map<string, MetricValue>;
  readonly histograms: Map<string, MetricHistogram>;
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
  const { kind, labels, buckets = [] } = definition;
  const bare = labels.length === 0;
  return {
    definition,
    values: new Map(bare && kind !== 'histogram' ? [['', new MetricValue(0)]] : []),
    histograms: new Map(bare && kind === 'histogram' ? [['', new MetricHistogram(buckets)]] : []),
  };
}

function lineOf({ labels }: MetricDefinition, given: Readonly<Record<string, string>>): string {
  return labels.map((label) => `${label}="${escaped(given[label] ?? '').replaceAll('"', '\\"')}"`).join(',');
}

function linesOf({ definition, values, histograms }: Series): string[] {
  const { name, kind, help, buckets = [] } = definition;
  const lines = [...values].map(([labels, { value }]) => `${name}${braced(labels)} ${numberText(value)}\n`);
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

/** A figure beside the floor it must reach and the goal it should. Lists where a row has two figures. */
export interface BenchResult {
  /** As in the table of cost ceilings: `A1`. */
  readonly id: string;
  readonly value: number | readonly number[];
  readonly floor: number | readonly number[];
  readonly goal: number | readonly number[];
  readonly better: 'lower' | 'higher';
  readonly unit: string;
  /** 10th percentile of the rounds. */
  readonly low: number;
  /** 90th percentile of the rounds. */
  readonly high: number;
  readonly note: string;
}

/** What one variant took: the rate beside a ratio. */
export interface VariantCost {
  readonly variant: string;
  /** Events in each transaction, or rows in the backlog. */
  readonly events: number;
  readonly [figure: string]: string | number;
}

/** What a bench hands out; with `--json` its last line. */
export interface BenchReport {
  readonly results: readonly BenchResult[];
  readonly variants: readonly VariantCost[];
}

/** A row of the table of cost ceilings that is a ratio of two variants, measured in each round. */
export function ratioResult(row: Pick<BenchResult, 'id' | 'floor' | 'goal' | 'better' | 'note'>, ratios: readonly number[]): BenchResult {
  const [value, low, high] = [0.5, 0.1, 0.9].map((part) => rounded(quantile(ratios, part))) as [number, number, number];
  const { note, ...rest } = row;
  return { ...rest, value, unit: 'ratio', low, high, note };
}

/** Median, and 10th and 90th percentile in brackets. */
export function spread(ratios: readonly number[]): string {
  const [value, low, high] = [0.5, 0.1, 0.9].map((part) => quantile(ratios, part).toFixed(2));
  return `${value} (${low}–${high})`;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which that part of the values lies, between two of them by proportion. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below === undefined || above === undefined ? Number.NaN : below + (above - below) * (at % 1);
}

/** Three decimals are more than a measurement has. */
export function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

/** The report for people. */
export function textOf({ results, variants }: BenchReport): string {
  const rows = results.map((result) => [
    result.id,
    String(result.value),
    `floor ${String(result.floor)}`,
    `goal ${String(result.goal)}`,
    `${result.low}–${result.high}`,
    result.note,
  ]);
  const costs = variants.map(({ variant, ...figures }) => [
    variant,
    ...Object.entries(figures).map(([name, figure]) => `${figure} ${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`),
  ]);
  return `${aligned(costs)}\n\n${aligned(rows)}\n`;
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((known, row) => row.map((cell, at) => Math.max(known[at] ?? 0, cell.length)), []);
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

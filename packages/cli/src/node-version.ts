import { TxboxError } from '@txbox/core/spi';

/**
 * Refuses a Node that lacks what the packages use, before one of them says so in words that help nobody. `range` as in
 * `engines`: `^22.18.0 || >=24.11.0`. Throws `NODE_UNSUPPORTED`.
 */
export function checkNode(version: string, range: string): void {
  const have = numbersOf(version);
  const fits = range.split('||').some((part) => {
    const least = numbersOf(part);
    return compare(have, least) >= 0 && (!part.includes('^') || have[0] === least[0]);
  });
  if (fits) return;
  throw new TxboxError(
    'NODE_UNSUPPORTED',
    `txbox needs Node ${range}, and runs on ${version} (${process.execPath}). Run it with another one.`,
  );
}

function numbersOf(version: string): number[] {
  return (/\d+\.\d+\.\d+/.exec(version)?.[0] ?? '0.0.0').split('.').map(Number);
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

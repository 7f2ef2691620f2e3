/** Bounds of one request to the publisher. */
export interface BatchLimits {
  /** Most rows. */
  readonly rows: number;
  /** Most bytes of keys, headers and payloads together; a single row may have more. */
  readonly bytes: number;
  /** A row above this many bytes travels alone, so that its refusal harms nobody else (P-R10). */
  readonly loneRowBytes: number;
}

/**
 * How many rows from index `from` on make up the next request: at least 1 when there is a row, in order, within the
 * limits and `atMost`. Pure.
 */
export function batchLength(queue: readonly { readonly bytes: number }[], from: number, limits: BatchLimits, atMost: number): number {
  const end = Math.min(queue.length, from + Math.min(limits.rows, atMost));
  let bytes = 0;
  for (let index = from; index < end; index++) {
    const size = (queue[index] as { bytes: number }).bytes;
    const first = index === from;
    if (size > limits.loneRowBytes) return first ? 1 : index - from;
    bytes += size;
    if (bytes > limits.bytes && !first) return index - from;
  }
  return Math.max(0, end - from);
}

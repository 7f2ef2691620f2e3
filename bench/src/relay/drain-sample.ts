/** What publishing a backlog took. */
export interface DrainSample {
  readonly rows: number;
  readonly ms: number;
  /** CPU time of the contestant's process. */
  readonly cpuMs: number;
  /** Its memory in the course of the drain; only when asked for. */
  readonly memory: readonly MemorySample[];
}

/** Bytes. */
export interface MemorySample {
  readonly rss: number;
  readonly heap: number;
  /** Buffers and the like. */
  readonly external: number;
}

const MEMORY_EVERY_MS = 100;

/** Carries out and measures. */
export async function measuredDrain(
  drain: () => Promise<void>,
  { rows, memory = false }: { readonly rows: number; readonly memory?: boolean },
): Promise<DrainSample> {
  const samples: MemorySample[] = [];
  const sample = (): void => {
    const { rss, heapUsed, external } = process.memoryUsage();
    samples.push({ rss, heap: heapUsed, external });
  };
  const timer = memory ? setInterval(sample, MEMORY_EVERY_MS) : undefined;
  const cpuAt = process.cpuUsage();
  const startedAt = performance.now();
  await drain();
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuAt);
  clearInterval(timer);
  return { rows, ms, cpuMs: (user + system) / 1_000, memory: samples };
}

export function rowsPerSecond({ rows, ms }: DrainSample): number {
  return (rows * 1_000) / ms;
}

/** Microseconds of CPU time. */
export function cpuPerRow({ rows, cpuMs }: DrainSample): number {
  return (cpuMs * 1_000) / rows;
}

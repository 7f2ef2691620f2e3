import type { Entry } from './ledger.ts';
import type { LogEntry } from './log-reader.ts';

/** What really happened, all counts in events. */
export interface Audit {
  readonly committed: number;
  /** Distinct events in the log. */
  readonly published: number;
  /** Distinct events that have an effect. */
  readonly applied: number;
  /** Committed, but missing in the log or without effect. */
  readonly lost: number;
  /** Effects beyond the first of an event. */
  readonly doubled: number;
  /** First occurrences in the log, and effects, whose version is not above the one before of the same customer; keys in two lanes count too. */
  readonly outOfOrder: number;
  /** In the log or applied, but never committed. */
  readonly ghosts: number;
  /** Repeats in the log: allowed, and the inbox's business. */
  readonly duplicatesInLog: number;
}

/** Judges a run by the two databases and the topic alone; order by the aggregate's own version. */
export function audit(committed: readonly Entry[], log: readonly LogEntry[], applied: readonly Entry[]): Audit {
  const committedIds = new Set(committed.map((entry) => entry.orderId));
  const logged = firstOccurrences(log);
  const effects = firstOccurrences(applied);
  const loggedIds = new Set(logged.map((entry) => entry.orderId));
  const effectIds = new Set(effects.map((entry) => entry.orderId));
  const ghosts = new Set([...loggedIds, ...effectIds].filter((id) => !committedIds.has(id)));
  return {
    committed: committedIds.size,
    published: loggedIds.size,
    applied: effectIds.size,
    lost: [...committedIds].filter((id) => !loggedIds.has(id) || !effectIds.has(id)).length,
    doubled: applied.length - effects.length,
    outOfOrder: orderBreaks(logged) + orderBreaks(applied) + keysInTwoLanes(log),
    ghosts: ghosts.size,
    duplicatesInLog: log.length - logged.length,
  };
}

function firstOccurrences<E extends Entry>(entries: readonly E[]): E[] {
  const seen = new Set<string>();
  return entries.filter((entry) => {
    if (seen.has(entry.orderId)) return false;
    seen.add(entry.orderId);
    return true;
  });
}

function orderBreaks(entries: readonly Entry[]): number {
  const last = new Map<string, number>();
  let breaks = 0;
  for (const { customerId, version } of entries) {
    if (version <= (last.get(customerId) ?? 0)) breaks += 1;
    last.set(customerId, version);
  }
  return breaks;
}

function keysInTwoLanes(log: readonly LogEntry[]): number {
  const lanes = new Map<string, Set<number>>();
  for (const { customerId, partition } of log) lanes.set(customerId, (lanes.get(customerId) ?? new Set()).add(partition));
  return [...lanes.values()].filter((partitions) => partitions.size > 1).length;
}

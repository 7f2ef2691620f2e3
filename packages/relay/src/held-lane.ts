import type { LaneTable } from './lane-table.ts';

/** What a lane or topic that does not move waits for. */
export interface HeldLane {
  readonly topic: string;
  /** Left out when the whole topic is held. */
  readonly partition?: number;
  /** Events in memory that wait here; more may wait in the database. */
  readonly rows: number;
  /** An error code of the framework, or the foreign error's own. */
  readonly code: string;
  readonly message: string;
  readonly attempts: number;
  readonly retryInMs: number;
}

/** Everything that is held, at `now` by the monotonic clock. */
export function heldLanes(lanes: LaneTable, now: number): HeldLane[] {
  const inMs = (at: number): number => Math.max(0, Math.ceil(at - now));
  const found: HeldLane[] = [];
  for (const topic of lanes.topics) {
    const reason = topic.switching ?? topic.reason;
    if (reason) {
      const rows = [...topic.all()].reduce((sum, lane) => sum + lane.size, 0);
      const { code, message } = reason;
      found.push({ topic: topic.topic, rows, code, message, attempts: topic.attempts, retryInMs: inMs(topic.retryAt) });
      continue;
    }
    for (const lane of topic.lanes.values()) {
      if (!lane.reason) continue;
      const { code, message } = lane.reason;
      const { partition, size, attempts, retryAt } = lane;
      found.push({ topic: topic.topic, partition, rows: size, code, message, attempts, retryInMs: inMs(retryAt) });
    }
  }
  return found;
}

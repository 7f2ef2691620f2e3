import type { LifecycleState } from '@txbox/core/spi';
import type { BrokerSilence } from './broker-probe.ts';
import type { HoldReason } from './lane.ts';
import type { LaneTable } from './lane-table.ts';

/** Why a relay is not ready. */
export interface NotReady {
  /**
   * `not-running`: it has not started yet, or stops. `leases-not-trusted`: it could not renew them in time and sends nothing.
   * `no-shards`: it holds none though there are some for it. `nothing-moves`: all that it has to publish is held.
   * `broker-unreachable`: it has nothing to publish, and the broker does not answer.
   */
  readonly code: 'not-running' | 'leases-not-trusted' | 'no-shards' | 'nothing-moves' | 'broker-unreachable';
  readonly message: string;
}

/** Whether a relay can do what it is there for. */
export interface RelayReadiness {
  readonly ready: boolean;
  /** Empty when it is ready. */
  readonly reasons: readonly NotReady[];
}

/** Whether anything moves. */
interface LaneFacts {
  /** Lanes with events in memory, and those of them that do not move. */
  readonly lanes: number;
  readonly stuckLanes: number;
  /** Why the first of them does not; `undefined` for a request without an answer. */
  readonly stuckBecause: { readonly topic: string; readonly reason: HoldReason | undefined } | undefined;
}

/** What a running relay knows of itself. */
export interface ReadinessFacts extends LaneFacts {
  readonly trusted: boolean;
  readonly shards: number;
  /** Shards that are its share. */
  readonly share: number;
  readonly brokerSilence: BrokerSilence | undefined;
}

/** At `now` by the monotonic clock. */
export function laneFacts(table: LaneTable, now: number): LaneFacts {
  const lanes = [...table.filled];
  const stuck = lanes.filter((lane) => table.isStuck(lane, now));
  const [first] = stuck;
  return {
    lanes: lanes.length,
    stuckLanes: stuck.length,
    stuckBecause: first && { topic: first.topic, reason: table.topicOf(first).reason ?? first.reason },
  };
}

/** `facts` of a running relay; without them `failure` says why the last start failed. */
export function readinessOf(state: LifecycleState, facts: ReadinessFacts | undefined, failure: string | undefined): RelayReadiness {
  const reasons = state !== 'running' || !facts ? [notRunning(state, failure)] : reasonsOf(facts);
  return { ready: reasons.length === 0, reasons };
}

const SAID: Readonly<Record<LifecycleState, string>> = {
  idle: 'The relay has not been started',
  starting: 'The relay is starting',
  running: 'The relay is starting',
  stopping: 'The relay is stopping',
  stopped: 'The relay has stopped',
};

function notRunning(state: LifecycleState, failure: string | undefined): NotReady {
  const why = failure !== undefined && (state === 'idle' || state === 'starting') ? `; the last attempt failed: ${failure}` : '.';
  return { code: 'not-running', message: `${SAID[state]}${why}` };
}

function reasonsOf({ trusted, shards, share, lanes, stuckLanes, stuckBecause, brokerSilence }: ReadinessFacts): NotReady[] {
  const reasons: NotReady[] = [];
  if (!trusted) {
    reasons.push({
      code: 'leases-not-trusted',
      message: 'The leases could not be renewed in time, so nothing is sent: the database is away, or this process was blocked.',
    });
  }
  if (shards === 0 && share > 0) {
    reasons.push({ code: 'no-shards', message: `The relay holds no shard though ${share} are its share; it waits for other relays.` });
  }
  if (lanes > 0 && stuckLanes >= lanes) {
    const { topic, reason } = stuckBecause ?? {};
    const why = reason ? `${reason.code}: ${reason.message}` : 'the broker does not answer';
    reasons.push({ code: 'nothing-moves', message: `All lanes with events (${lanes}) are held, first one of topic ${topic}: ${why}` });
  } else if (lanes === 0 && brokerSilence) {
    reasons.push({ code: 'broker-unreachable', message: `The broker does not answer: ${brokerSilence.code}: ${brokerSilence.message}` });
  }
  return reasons;
}

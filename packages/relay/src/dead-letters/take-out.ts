import type { AuditNote, Clock, DeadLetterFilter, DeadLetterHead, DeadLetterStore } from '@txbox/core/spi';
import type { KeyStop, LetterSender } from './letter-sender.ts';
import { waitingOnly } from './redrive.ts';

/** What a discard or skip works with. */
export interface TakeOutPlan {
  readonly letters: DeadLetterStore;
  readonly sender: LetterSender;
  readonly clock: Clock;
  readonly note: AuditNote;
  /** Nobody may have begun to send a message of the key for so long, milliseconds (P-R11). */
  readonly quietMs: number;
  /** Wait until that is so, rather than leave the letter. */
  readonly wait: boolean;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** It has to wait for so long still, milliseconds; told every few seconds. */
  readonly onWait: (ms: number) => void;
}

/** What became of the letters that were to be taken out. */
export interface TakeOutOutcome {
  /** Taken out of their keys' order, or to be taken out in a dry run. */
  letters: number;
  /** Letters that only waited behind them and are published now. */
  released: number;
  /** Somebody may still send them: so many, and the longest time until nobody does. */
  tooYoung: number;
  waitMs: number;
  /** Keys that do not move on after all. */
  readonly stopped: KeyStop[];
}

/** So often a wait of minutes is told, and whether somebody else has decided meanwhile is looked at. */
const WAIT_STEP_MS = 5_000;

/** Letters of one look. */
const LIST_LETTERS = 500;

/**
 * Takes the letters that match out of their keys' order: discarded they are gone, skipped they stand alone. Then publishes what
 * only waited behind them, gap markers of numbered messages first (P-I7). A letter that somebody may still send is left: sent after
 * its successor it would break the order (P-R11).
 */
export async function takeOut(
  plan: TakeOutPlan,
  filter: DeadLetterFilter,
  outcome: TakeOutOutcome = newTakeOut(),
): Promise<TakeOutOutcome> {
  const { letters, note, signal, dryRun } = plan;
  const touched = new Map<string, Buffer>();
  for (let after = 0; !signal.aborted; ) {
    const heads = await letters.list(filter, after, LIST_LETTERS);
    for (const head of heads) {
      if (signal.aborted) break;
      if (note.action === 'skip' && standsAlone(head)) continue;
      if (!(await isQuiet(plan, head, outcome))) continue;
      if (!dryRun && !(await letters.takeOut(head, note))) continue;
      outcome.letters += 1;
      touched.set(head.parkedKeyId.toString('hex'), head.parkedKeyId);
    }
    if (heads.length < LIST_LETTERS) break;
    after = heads.at(-1)?.place ?? 0;
    await release(plan, touched, outcome);
  }
  await release(plan, touched, outcome);
  return outcome;
}

/** Nothing yet. */
export function newTakeOut(): TakeOutOutcome {
  return { letters: 0, released: 0, tooYoung: 0, waitMs: 0, stopped: [] };
}

async function isQuiet(
  { quietMs, wait, dryRun, letters, clock, signal, onWait }: TakeOutPlan,
  head: DeadLetterHead,
  outcome: TakeOutOutcome,
): Promise<boolean> {
  let left = quietMs - head.quietMs;
  while (left > 0 && wait && !dryRun && !signal.aborted) {
    onWait(left);
    await clock.sleep(Math.min(left, WAIT_STEP_MS), signal);
    const now = await letters.find(head.id);
    if (!now) return false;
    left = quietMs - now.quietMs;
  }
  if (left <= 0) return true;
  outcome.tooYoung += 1;
  outcome.waitMs = Math.max(outcome.waitMs, Math.ceil(left));
  return false;
}

async function release({ sender, dryRun }: TakeOutPlan, touched: Map<string, Buffer>, outcome: TakeOutOutcome): Promise<void> {
  for (const [name, parkedKeyId] of touched) {
    touched.delete(name);
    if (dryRun) continue;
    const { sent, stopped } = await sender.sendFront(parkedKeyId, waitingOnly);
    outcome.released += sent;
    if (stopped && stopped.why !== 'waits') outcome.stopped.push(stopped);
  }
}

function standsAlone({ key, id, parkedKeyId }: DeadLetterHead): boolean {
  return key === null || parkedKeyId.equals(id);
}

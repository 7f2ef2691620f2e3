import type { DeadLetterFilter, DeadLetterHead, DeadLetterStore } from '@txbox/core/spi';
import { FRONT_LETTERS, isBeyondHorizon, type KeyStop, type LetterSender, type MayGo, onlyWaits } from './letter-sender.ts';

/** What a redrive did, or would do. */
export interface RedriveOutcome {
  /** Keys of which something was sent. */
  keys: number;
  letters: number;
  /** Keys of which something stays, though it was asked for. */
  readonly stopped: KeyStop[];
}

/**
 * Sends the dead letters that match again, each key from its front, in order. With them goes what only waits behind them; a letter
 * that was tried itself and does not match holds up what stands behind it. Ends early when the sender's signal is aborted. Rejects
 * when the broker or the database stays away: what was sent by then is out of the table.
 */
export async function redrive(
  letters: DeadLetterStore,
  sender: LetterSender,
  filter: DeadLetterFilter,
  outcome: RedriveOutcome = newRedrive(),
): Promise<RedriveOutcome> {
  await forEachKey(letters, filter, async (parkedKeyId) => {
    const { sent, stopped } = await sender.sendFront(parkedKeyId, matching(letters, filter, parkedKeyId));
    outcome.letters += sent;
    if (sent > 0) outcome.keys += 1;
    // What does not match was not asked for, once everything before it is sent.
    if (stopped && (stopped.why !== 'waits' || sent === 0)) outcome.stopped.push(stopped);
    return stopped?.why !== 'ended';
  });
  return outcome;
}

/** What `redrive` would do if the broker took everything. Changes nothing. */
export async function rehearseRedrive(letters: DeadLetterStore, filter: DeadLetterFilter, force: boolean): Promise<RedriveOutcome> {
  const outcome = newRedrive();
  await forEachKey(letters, filter, async (parkedKeyId) => {
    const mayGo = matching(letters, filter, parkedKeyId);
    let sent = 0;
    for (let after = 0; ; ) {
      const heads = await letters.list({ parkedKeyId }, after, FRONT_LETTERS);
      const [first] = heads;
      if (!first) break;
      const old = force ? -1 : heads.findIndex(isBeyondHorizon);
      const allowed = await mayGo(heads);
      const count = old < 0 ? allowed : Math.min(allowed, old);
      sent += count;
      const left = heads[count];
      if (left) {
        if (count === old) outcome.stopped.push({ why: 'too-old', letter: left });
        else if (sent === 0) outcome.stopped.push({ why: 'waits', letter: left });
        break;
      }
      after = heads.at(-1)?.place ?? 0;
    }
    outcome.letters += sent;
    if (sent > 0) outcome.keys += 1;
    return true;
  });
  return outcome;
}

/** Nothing yet. */
export function newRedrive(): RedriveOutcome {
  return { keys: 0, letters: 0, stopped: [] };
}

/** Lets go what only waits: the front of a key whose failed letters are gone. */
export const waitingOnly: MayGo = (front) => Promise.resolve(prefix(front, onlyWaits));

function matching(letters: DeadLetterStore, filter: DeadLetterFilter, parkedKeyId: Buffer): MayGo {
  return async (front) => {
    const before = (front[0]?.place ?? 1) - 1;
    const matches = await letters.list({ ...filter, parkedKeyId }, before, front.length);
    const wanted = new Set(matches.map(({ id }) => id.toString('hex')));
    return prefix(front, (letter) => onlyWaits(letter) || wanted.has(letter.id.toString('hex')));
  };
}

function prefix(front: readonly DeadLetterHead[], goes: (letter: DeadLetterHead) => boolean): number {
  const first = front.findIndex((letter) => !goes(letter));
  return first < 0 ? front.length : first;
}

/** Calls `work` once for each key with a letter that matches, in the order of the first of them, until it says false. */
async function forEachKey(
  letters: DeadLetterStore,
  filter: DeadLetterFilter,
  work: (parkedKeyId: Buffer) => Promise<boolean>,
): Promise<void> {
  const seen = new Set<string>();
  for (let after = 0; ; ) {
    const heads = await letters.list(filter, after, LIST_LETTERS);
    for (const { parkedKeyId } of heads) {
      const name = parkedKeyId.toString('hex');
      if (seen.has(name)) continue;
      seen.add(name);
      if (!(await work(parkedKeyId))) return;
    }
    if (heads.length < LIST_LETTERS) return;
    after = heads.at(-1)?.place ?? 0;
  }
}

/** Letters of one look. */
const LIST_LETTERS = 500;

import type { LogFile } from './log-file.ts';

/** A consumer in a group, as it shows itself to the others. */
export interface Member {
  readonly group: string;
  readonly id: string;
  /** See `ownProcess`. */
  readonly process: string;
  readonly topics: readonly string[];
}

/** A lane that a member holds. */
export interface HeldLane {
  readonly topic: string;
  readonly partition: number;
  readonly lane: number;
  /** Raised at every change of hands; what a checkpoint must name. */
  readonly generation: number;
  /** First offset that the group has not finished. */
  readonly nextOffset: number;
}

/** What {@link tend} decided. */
export interface Tending {
  readonly held: readonly HeldLane[];
  /** Lanes above the member's share: to be drained and given back. */
  readonly surplus: readonly number[];
}

/** Who lives, by the caller's means. */
export type IsDead = (process: string) => boolean;

type MemberRow = readonly [id: string, process: string, topics: string, expiresAt: number];
type LaneRow = readonly [lane: number, topic: string, partition: number, member: string | null, generation: number, nextOffset: number];

const MEMBERS = 'SELECT id, process, topics, expires_at FROM member WHERE group_name = ? ORDER BY id';
const LANES = `
  SELECT l.id, t.name, l.partition, a.member, coalesce(a.generation, 0), coalesce(a.next_offset, 0)
  FROM json_each(?) wanted JOIN topic t ON t.name = wanted.value JOIN lane l ON l.topic = t.id
  LEFT JOIN assignment a ON a.group_name = ? AND a.lane = l.id
  ORDER BY t.name, l.partition`;
/** The one clock of a group is that of the file's machine: a log in WAL mode has no other (P-T7). */
const NOW = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/**
 * One look after the group by one of its members, in one transaction: shows the member alive, takes lanes from the
 * dead and the expired, and takes free lanes up to the member's share. `busy` lanes are not taken: the member itself
 * still works on a batch from an earlier assignment.
 *
 * Shares of a topic: the number of its lanes divided by the members that want it; the rest goes, one each, to those
 * who hold most already, so that nothing moves without need. Nobody is robbed: who holds too much gives back.
 */
export function tend(file: LogFile, me: Member, sessionTimeoutMs: number, isDead: IsDead, busy: ReadonlySet<number>): Tending {
  file.run(
    `INSERT INTO member (group_name, id, process, topics, expires_at) VALUES (?, ?, ?, ?, ${NOW} + ?)
     ON CONFLICT (group_name, id) DO UPDATE SET expires_at = excluded.expires_at`,
    me.group,
    me.id,
    me.process,
    JSON.stringify(me.topics),
    sessionTimeoutMs,
  );
  for (const id of goneMembers(file, me.group, sessionTimeoutMs, isDead)) leave(file, me.group, id);
  const held: HeldLane[] = [];
  const surplus: number[] = [];
  for (const { mine, free, share } of sharing(file, me, busy)) {
    for (const [lane] of mine.slice(share)) surplus.push(lane);
    const taken = free.slice(0, Math.max(0, share - mine.length)).map((row) => take(file, me, row));
    for (const [lane, topic, partition, , generation, nextOffset] of [...mine, ...taken])
      held.push({ topic, partition, lane, generation, nextOffset });
  }
  return { held, surplus };
}

/** True when {@link tend} would change more than the member's own expiry: a cheap look, without writing. */
export function needsTending(file: LogFile, me: Member, sessionTimeoutMs: number, isDead: IsDead, busy: ReadonlySet<number>): boolean {
  if (!file.row('SELECT 1 FROM member WHERE group_name = ? AND id = ?', me.group, me.id)) return true;
  if (goneMembers(file, me.group, sessionTimeoutMs, isDead).length > 0) return true;
  return sharing(file, me, busy).some(({ mine, free, share }) => mine.length > share || (mine.length < share && free.length > 0));
}

/** Stores the group's place in a lane, which never goes back; false when the member does not hold it any more. */
export function storeCheckpoint(file: LogFile, me: Member, lane: number, generation: number, nextOffset: number): boolean {
  const changed = file.run(
    'UPDATE assignment SET next_offset = max(next_offset, ?) WHERE group_name = ? AND lane = ? AND member = ? AND generation = ?',
    nextOffset,
    me.group,
    lane,
    me.id,
    generation,
  );
  return changed === 1;
}

/** Shows the member alive; false when it does not hold the lane any more. */
export function beat(file: LogFile, me: Member, lane: number, generation: number, sessionTimeoutMs: number): boolean {
  const held = file.row(
    'SELECT 1 FROM assignment WHERE group_name = ? AND lane = ? AND member = ? AND generation = ?',
    me.group,
    lane,
    me.id,
    generation,
  );
  if (!held) return false;
  file.run(`UPDATE member SET expires_at = ${NOW} + ? WHERE group_name = ? AND id = ?`, sessionTimeoutMs, me.group, me.id);
  return true;
}

/** Gives a lane back. */
export function release(file: LogFile, me: Member, lane: number, generation: number): void {
  file.run(
    'UPDATE assignment SET member = NULL, generation = generation + 1 WHERE group_name = ? AND lane = ? AND member = ? AND generation = ?',
    me.group,
    lane,
    me.id,
    generation,
  );
}

/** Takes a member out of its group and frees its lanes. */
export function leave(file: LogFile, group: string, id: string): void {
  file.run('UPDATE assignment SET member = NULL, generation = generation + 1 WHERE group_name = ? AND member = ?', group, id);
  file.run('DELETE FROM member WHERE group_name = ? AND id = ?', group, id);
}

/** Messages behind the group's place in these lanes. */
export function lagOf(file: LogFile, group: string, lanes: readonly number[]): number {
  const [lag] = file.row<[number]>(
    `SELECT coalesce(sum(l.next_offset - coalesce(a.next_offset, 0)), 0)
     FROM json_each(?) held JOIN lane l ON l.id = held.value LEFT JOIN assignment a ON a.group_name = ? AND a.lane = l.id`,
    JSON.stringify(lanes),
    group,
  ) as [number];
  return lag;
}

/** Dead, expired, or promised to live for longer than anybody may (the clock was set back, P-T7). */
function goneMembers(file: LogFile, group: string, sessionTimeoutMs: number, isDead: IsDead): string[] {
  const [now] = file.row<[number]>(`SELECT ${NOW}`) as [number];
  return file
    .rows<MemberRow>(MEMBERS, group)
    .filter(
      ([, process, , expiresAt]) =>
        expiresAt <= now || expiresAt > now + 2 * Math.max(sessionTimeoutMs, LONGEST_SESSION_MS) || isDead(process),
    )
    .map(([id]) => id);
}

/** Bound of `sessionTimeoutMs`: members of one group may have different ones. */
export const LONGEST_SESSION_MS = 600_000;

/** What a member has, may take and should have, for each of its topics. */
function sharing(file: LogFile, me: Member, busy: ReadonlySet<number>): { mine: LaneRow[]; free: LaneRow[]; share: number }[] {
  const members = file.rows<MemberRow>(MEMBERS, me.group).map(([id, , topics]) => ({ id, topics: JSON.parse(topics) as string[] }));
  const rows = file.rows<LaneRow>(LANES, JSON.stringify(me.topics), me.group);
  return [...Map.groupBy(rows, ([, topic]) => topic)].map(([topic, lanes]) => {
    const wanting = members.filter((member) => member.topics.includes(topic)).map((member) => member.id);
    return {
      mine: lanes.filter(([, , , member]) => member === me.id),
      free: lanes.filter(([lane, , , member]) => member === null && !busy.has(lane)),
      share: shareOf(me.id, lanes, wanting),
    };
  });
}

function shareOf(me: string, lanes: readonly LaneRow[], wanting: readonly string[]): number {
  const heldBy = (id: string): number => lanes.filter(([, , , member]) => member === id).length;
  const ranked = wanting.toSorted((a, b) => heldBy(b) - heldBy(a) || (a < b ? -1 : 1));
  const rest = lanes.length % ranked.length;
  return Math.floor(lanes.length / ranked.length) + (ranked.indexOf(me) < rest ? 1 : 0);
}

function take(file: LogFile, me: Member, [lane, topic, partition, , , nextOffset]: LaneRow): LaneRow {
  const [generation] = file.row<[number]>(
    `INSERT INTO assignment (group_name, lane, member, generation) VALUES (?, ?, ?, 1)
     ON CONFLICT (group_name, lane) DO UPDATE SET member = excluded.member, generation = generation + 1 RETURNING generation`,
    me.group,
    lane,
    me.id,
  ) as [number];
  return [lane, topic, partition, me.id, generation, nextOffset];
}

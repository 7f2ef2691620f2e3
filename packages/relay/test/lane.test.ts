import { expect, it } from 'vitest';
import { Lane, type LaneRow } from '../src/lane.ts';

interface Row extends LaneRow {
  readonly name: number;
}

const ROOM = { rows: 1_000, bytes: 1_000_000 };
const UNKNOWN = { kind: 'transient', code: 'PUBLISH_UNKNOWN', message: 'no answer' } as const;

function laneOf(rows: number): Lane<Row> {
  const backoff = { baseMs: 10, capMs: 10 };
  const limits = { rows: 10, bytes: 10_000, loneRowBytes: 5_000 };
  const lane = new Lane<Row>('topic', 0, { limits, backoff, refusedBackoff: backoff, random: () => 1 });
  for (let name = 0; name < rows; name++) lane.enqueue(row(name));
  return lane;
}

const row = (name: number): Row => ({ name, shard: 0, bytes: 100, abandoned: false, mayBePublished: false });
const namesOf = (rows: readonly Row[] | undefined): number[] | undefined => rows?.map(({ name }) => name);

it('takes at least a row into a request, and no more than there is room for', () => {
  const lane = laneOf(5);
  expect(namesOf(lane.next(0, { rows: 0, bytes: -1 }))).toEqual([0]);
  lane.acknowledge();
  expect(namesOf(lane.next(0, { rows: 2, bytes: 10_000 }))).toEqual([1, 2]);
  lane.acknowledge();
  expect(namesOf(lane.next(0, { rows: 10, bytes: 150 }))).toEqual([3]);
});

it('leaves rows of a request that failed out of memory, not the first, and never those of one without an answer', () => {
  const lane = laneOf(8);
  expect(lane.next(0, ROOM)).toHaveLength(8);
  expect(lane.trim(3, 10_000)).toEqual([]);
  lane.fail(UNKNOWN, 0);
  expect(namesOf(lane.trim(3, 10_000))).toEqual([3, 4, 5, 6, 7]);
  expect(lane).toMatchObject({ size: 3, bytes: 300 });
  // What is sent again is what is left, also when others have come meanwhile.
  lane.enqueue(row(8));
  expect(namesOf(lane.next(100, ROOM))).toEqual([0, 1, 2]);
  lane.fail(UNKNOWN, 100);
  expect(namesOf(lane.trim(0, 0))).toEqual([1, 2, 8]);
  expect(namesOf(lane.next(200, ROOM))).toEqual([0]);
});

it('does not forget that a row may be published when it leaves memory and comes back', () => {
  const lane = laneOf(4);
  lane.next(0, ROOM);
  lane.fail(UNKNOWN, 0);
  const gone = lane.trim(1, 10_000);
  expect(gone).toHaveLength(3);
  for (const { name } of gone) lane.enqueue(row(name));
  const again = lane.next(100, ROOM) as readonly Row[];
  lane.acknowledge();
  const rest = lane.next(100, ROOM) as readonly Row[];
  expect([...again, ...rest].map(({ mayBePublished }) => mayBePublished)).toEqual([true, true, true, true]);
  lane.acknowledge();
  // Nothing of then is left.
  const fresh = row(9);
  lane.enqueue(fresh);
  expect(fresh.mayBePublished).toBe(false);
});

it('tells the rows of a shard that are under way from those that wait', () => {
  const lane = laneOf(12);
  expect(lane.next(0, ROOM)).toHaveLength(10);
  expect([lane.sizeOf(0), lane.inFlightOf(0), lane.inFlightOf(1)]).toEqual([12, 10, 0]);
  lane.fail(UNKNOWN, 0);
  expect(lane.inFlightOf(0)).toBe(0);
  lane.next(100, ROOM);
  lane.acknowledge();
  expect([lane.sizeOf(0), lane.inFlightOf(0)]).toEqual([2, 0]);
});

import { describe, expect, it } from 'vitest';
import { shareLanes } from '../../src/sources/kafkajs-assigner.ts';

const PARTITIONS: Readonly<Record<string, readonly number[]>> = { a: [2, 0, 1, 3], b: [0], c: [0, 1], gone: [] };
const share = (...members: [string, string[]][]) =>
  Object.fromEntries(
    shareLanes(
      members.map(([id, topics]) => ({ id, topics })),
      (topic) => PARTITIONS[topic] ?? [],
    ),
  );

describe('shareLanes', () => {
  it('gives one member everything it wants', () => {
    expect(share(['x', ['a', 'b']])).toEqual({ x: { a: [0, 1, 2, 3], b: [0] } });
  });

  it('evens out the number of lanes over all topics', () => {
    expect(share(['x', ['a', 'b', 'c']], ['y', ['a', 'b', 'c']])).toEqual({ x: { a: [0, 2], b: [0], c: [1] }, y: { a: [1, 3], c: [0] } });
  });

  it('gives nobody a topic that it did not ask for, and leaves no lane out', () => {
    expect(share(['x', ['a']], ['y', ['a', 'b']])).toEqual({ x: { a: [0, 2] }, y: { a: [1, 3], b: [0] } });
    expect(share(['x', ['b']], ['y', ['c']])).toEqual({ x: { b: [0] }, y: { c: [0, 1] } });
  });

  it('comes to the same result whatever the order of members', () => {
    expect(share(['y', ['c', 'a']], ['x', ['a', 'c']])).toEqual(share(['x', ['a', 'c']], ['y', ['a', 'c']]));
  });

  it('knows topics without lanes and members without any', () => {
    expect(share(['x', ['b', 'gone']], ['y', ['b']])).toEqual({ x: { b: [0] }, y: {} });
  });
});

import { describe, expect, it } from 'vitest';
import { messageIdFromBytes, messageIdToBytes, newMessageIdBytes } from '../../src/spi.ts';

describe('message ids', () => {
  it('are UUIDv7, ascending, even within a millisecond and when the clock goes back', () => {
    const ids = [...Array(10_000).keys()].map((n) => newMessageIdBytes(Date.now() - (n % 3)).toString('hex'));
    expect(ids).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^.{12}7.{3}[89ab].{15}$/);
  });

  it('have one text form', () => {
    const bytes = newMessageIdBytes();
    expect(messageIdToBytes(messageIdFromBytes(bytes))).toEqual(bytes);
    expect(messageIdToBytes(messageIdFromBytes(bytes).toUpperCase())).toEqual(bytes);
  });

  it.each(['', 'abc', Buffer.alloc(16), {}, null, 1])('are nothing else: %#', (value) => {
    expect(() => messageIdToBytes(value as string)).toThrow(expect.objectContaining({ code: 'MESSAGE_ID_INVALID' }));
  });
});

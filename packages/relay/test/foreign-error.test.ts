import { expect, it } from 'vitest';
import { describeError } from '../src/foreign-error.ts';

it.each([
  [Object.assign(new Error('no'), { code: 'ECONNRESET' }), { code: 'ECONNRESET', message: 'no' }],
  [new TypeError('bad'), { code: 'TypeError', message: 'bad' }],
  [Object.assign(new Error('server'), { code: 1205 }), { code: '1205', message: 'server' }],
  ['text', { code: 'UNKNOWN', message: 'text' }],
  [undefined, { code: 'UNKNOWN', message: 'undefined' }],
  [Symbol('s'), { code: 'UNKNOWN', message: 'Symbol(s)' }],
  [Object.create(null), { code: 'UNKNOWN', message: '[Object: null prototype] {}' }],
  [
    {
      get code(): string {
        throw new Error('hostile');
      },
    },
    { code: 'UNKNOWN', message: 'something was thrown that cannot be read' },
  ],
])('whatever was thrown is described: %#', (thrown, described) => {
  expect(describeError(thrown)).toEqual(described);
});

import { describe, expect, it } from 'vitest';
import { checkOptions, flag, integerWithin, listOf, objectWith, oneOf, text } from '../../src/spi.ts';

interface Options {
  readonly name: string;
  readonly ttlMs?: number;
  readonly mode?: 'a' | 'b';
  readonly brokers?: readonly string[];
  readonly verbose?: boolean;
  readonly port?: { send(): void };
}

const check = (given: unknown) =>
  checkOptions<Options>('createThing', given, {
    defaults: { ttlMs: 10_000, verbose: false },
    optional: ['mode', 'brokers', 'port'],
    rules: {
      name: text,
      ttlMs: integerWithin(100, 60_000),
      mode: oneOf('a', 'b'),
      brokers: listOf(text),
      verbose: flag,
      port: objectWith('send'),
    },
    across: (options, report) => {
      if (options.mode === 'b' && !options.brokers) report('mode b needs brokers');
    },
  });

describe('checkOptions', () => {
  it('fills in defaults and freezes the result; undefined counts as not given', () => {
    const options = check({ name: 'x', ttlMs: undefined, mode: undefined });
    expect(options).toEqual({ name: 'x', ttlMs: 10_000, verbose: false });
    expect(Object.isFrozen(options)).toBe(true);
  });

  it('reports every problem in one error', () => {
    expect(() => check({ ttlMs: 5, mode: 'c', brokers: ['ok', ''], verbose: 'yes', port: {}, ttl: 1 })).toThrow(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        details: {
          problems: [
            'unknown option ttl (known: name, ttlMs, mode, brokers, verbose, port)',
            'name is required',
            'ttlMs must be a whole number between 100 and 60000, got 5',
            'mode must be one of "a", "b", got "c"',
            'brokers item 1 must be a text that is not empty, got ""',
            'verbose must be true or false, got "yes"',
            'port must have send, got an object',
          ],
        },
      }),
    );
  });

  it('checks across options only when each is fine', () => {
    expect(() => check({ name: 'x', mode: 'b' })).toThrow('mode b needs brokers');
  });

  it.each([undefined, null, 'text', [], 1])('refuses %j as options', (given) => {
    expect(() => check(given)).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
  });

  it('takes only own properties as options', () => {
    expect(() => check({ name: 'x', constructor: 1 })).toThrow('unknown option constructor');
  });

  it('does not repeat the password of a URL', () => {
    expect(() => checkOptions<{ url: number }>('it', { url: 'mysql://root:secret@host/db' }, { rules: { url: integerWithin(0) } })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    );
  });

  it('never shows the value of a secret', () => {
    const rules = { rules: { token: text }, secret: ['token'] } as const;
    expect(() => checkOptions<{ token: string }>('thing', { token: 4711 }, rules)).toThrow(
      'thing: token must be a text that is not empty.',
    );
  });
});

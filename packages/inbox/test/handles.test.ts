import type { EventDefinition, PayloadOf } from '@txbox/core';
import { type HandlerContext, Handles, handlersOf } from '@txbox/inbox';
import { describe, expect, it } from 'vitest';
import { HandlerRegistry } from '../src/handler-registry.ts';
import { Paid, Placed, Shipped } from './fixture/event.ts';

class Billing {
  readonly calls: unknown[] = [];

  @Handles(Paid)
  charge(payload: PayloadOf<typeof Paid>, ctx: HandlerContext): void {
    this.calls.push(['charge', payload, ctx]);
  }

  @Handles(Placed)
  @Handles(Shipped)
  async note({ id }: PayloadOf<typeof Placed>): Promise<void> {
    this.calls.push(['note', id]);
  }
}

/** What a compiler makes of `@decorator` on a method in the standard form. */
function decorateStandard(target: { prototype: object }, method: string, decorator: ReturnType<typeof Handles>): void {
  const { metadata: symbol } = Symbol as unknown as { metadata: symbol };
  const parent = Object.getPrototypeOf(target)[symbol] as object | undefined;
  if (!Object.hasOwn(target, symbol)) Object.defineProperty(target, symbol, { value: Object.create(parent ?? null) });
  const metadata = (target as never)[symbol] as DecoratorMetadata;
  const context = { kind: 'method', name: method, static: false, private: false, metadata, addInitializer: () => undefined };
  decorator(Reflect.get(target.prototype, method) as never, context as never);
}

const named = (instance: object): unknown[] => handlersOf(instance).map(({ event, method }) => [event.name, method]);

describe('Handles', () => {
  it('declares methods, several events for one method too', () => {
    expect(named(new Billing())).toEqual([
      ['order.paid', 'charge'],
      ['parcel.shipped', 'note'],
      ['order.placed', 'note'],
    ]);
  });

  it('gives the same in the standard form', () => {
    class Standard {
      charge(): void {}
      note(): void {}
    }
    decorateStandard(Standard, 'charge', Handles(Paid));
    decorateStandard(Standard, 'note', Handles(Shipped));
    decorateStandard(Standard, 'note', Handles(Placed));
    expect(named(new Standard())).toEqual(named(new Billing()));
  });

  it('keeps classes apart and lets subclasses inherit, override and add', () => {
    class Special extends Billing {
      override charge(payload: PayloadOf<typeof Paid>): void {
        this.calls.push(['special', payload]);
      }
    }
    class Other {
      @Handles(Paid)
      other(): void {}
    }
    class StandardBase {
      base(): void {}
    }
    decorateStandard(StandardBase, 'base', Handles(Paid));
    class StandardSub extends StandardBase {
      sub(): void {}
    }
    decorateStandard(StandardSub, 'sub', Handles(Placed));
    expect(named(new Special())).toEqual(named(new Billing()));
    expect(named(new Other())).toEqual([['order.paid', 'other']]);
    expect(named(new StandardBase())).toEqual([['order.paid', 'base']]);
    expect(named(new StandardSub())).toEqual([
      ['order.placed', 'sub'],
      ['order.paid', 'base'],
    ]);

    const special = new Special();
    const registry = new HandlerRegistry();
    registry.addInstance(special);
    registry.find('orders', 'order.paid')?.invoke({ id: 'a' }, 'ctx');
    expect(special.calls).toEqual([['special', { id: 'a' }]]);
  });

  it.each([undefined, 'order.paid', null, {}, class Event {}])('refuses an event that nobody defined: %s', (event) => {
    expect(() => Handles(event as unknown as EventDefinition)).toThrow(
      expect.objectContaining({ code: 'HANDLER_INVALID', message: expect.stringContaining('defineEvent') }),
    );
  });

  it('refuses anything but public methods of instances', () => {
    const decorate = Handles(Paid) as (...args: unknown[]) => void;
    const invalid = expect.objectContaining({ code: 'HANDLER_INVALID' });
    expect(() => decorate(Billing, 'ofTheClass', { value: () => undefined })).toThrow(invalid);
    expect(() => decorate(Billing.prototype, 'field', undefined)).toThrow(invalid);
    expect(() => decorate(Billing.prototype, 'accessor', { get: () => undefined })).toThrow(invalid);
    expect(() => decorate(() => undefined, { kind: 'method', name: 'm', static: true, private: false, metadata: {} })).toThrow(invalid);
    expect(() => decorate(() => undefined, { kind: 'method', name: '#m', static: false, private: true, metadata: {} })).toThrow(invalid);
    expect(() => decorate(undefined, { kind: 'field', name: 'f', static: false, private: false, metadata: {} })).toThrow(invalid);
    expect(() => decorate(() => undefined, { kind: 'method', name: 'm', static: false, private: false })).toThrow(invalid);
  });
});

describe('Handles refuses, where it is written,', () => {
  it.each([
    [
      'a generator',
      'list, which is a generator',
      (): unknown => {
        class Wrong {
          @Handles(Paid)
          *list(): Generator<number> {
            yield 1;
          }
        }
        return Wrong;
      },
    ],
    [
      'an asynchronous generator',
      'stream, which is a generator',
      (): unknown => {
        class Wrong {
          @Handles(Paid)
          async *stream(): AsyncGenerator<number> {
            yield 1;
          }
        }
        return Wrong;
      },
    ],
    [
      'a getter',
      'value, which is not a public method',
      (): unknown => {
        class Wrong {
          // @ts-expect-error: a getter is no method
          @Handles(Paid)
          get value(): number {
            return 1;
          }
        }
        return Wrong;
      },
    ],
    [
      'a class',
      'a class, which is not a public method',
      (): unknown => {
        // @ts-expect-error: a class is no method
        @Handles(Paid)
        class Wrong {}
        return Wrong;
      },
    ],
    [
      'a generator in the standard form',
      'stream, which is a generator',
      (): unknown => {
        class Wrong {
          async *stream(): AsyncGenerator<number> {
            yield 1;
          }
        }
        return decorateStandard(Wrong, 'stream', Handles(Paid));
      },
    ],
  ])('%s', (_what, text, define) => {
    expect(define).toThrow(
      expect.objectContaining({ code: 'HANDLER_INVALID', message: expect.stringContaining(`@Handles(order.paid) stands on ${text}`) }),
    );
  });
});

describe('HandlerRegistry', () => {
  it('calls the method on its instance', async () => {
    const billing = new Billing();
    const registry = new HandlerRegistry();
    registry.addInstance(billing);
    registry.find('orders', 'order.paid')?.invoke({ id: 'a' }, 'ctx');
    await registry.find('parcels', 'parcel.shipped')?.invoke({ id: 'b' }, 'ctx');
    expect(billing.calls).toEqual([
      ['charge', { id: 'a' }, 'ctx'],
      ['note', 'b'],
    ]);
    expect(registry.topics()).toEqual(['orders', 'parcels']);
  });

  it('knows an event by its topic and name', () => {
    const registry = new HandlerRegistry();
    registry.addInstance(new Billing());
    expect(registry.find('parcels', 'order.paid')).toBeUndefined();
    expect(registry.find('orders', 'order.cancelled')).toBeUndefined();
  });

  it('refuses a second handler of an event and names both', () => {
    const registry = new HandlerRegistry();
    registry.addInstance(new Billing());
    class Other {
      @Handles(Paid)
      pay(): void {}
    }
    expect(() => registry.addInstance(new Other())).toThrow(
      expect.objectContaining({ code: 'HANDLER_INVALID', message: expect.stringMatching(/Billing\.charge and Other\.pay/) }),
    );
    expect(() => registry.addInstance(new Billing())).toThrow(expect.objectContaining({ code: 'HANDLER_INVALID' }));
  });

  it('refuses what has no handler', () => {
    const registry = new HandlerRegistry();
    class Plain {
      handle(): void {}
    }
    expect(() => registry.addInstance(new Plain())).toThrow(
      expect.objectContaining({ code: 'HANDLER_MISSING', message: expect.stringContaining('Plain') }),
    );
    expect(() => registry.addInstance(Billing)).toThrow(
      expect.objectContaining({ code: 'HANDLER_INVALID', message: expect.stringContaining('the class Billing') }),
    );
    expect(() => registry.addInstance(null)).toThrow(expect.objectContaining({ code: 'HANDLER_INVALID' }));
    expect(() => registry.topics()).toThrow(expect.objectContaining({ code: 'HANDLER_MISSING' }));
  });
});

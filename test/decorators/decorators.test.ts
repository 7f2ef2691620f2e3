// @Transactional, @Publishes and @PublishesEach: one text of decorated classes, compiled in the legacy and in the TC39 form.
import 'reflect-metadata';
import { Publishes, PublishesEach, Transactional } from '@txbox/outbox';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { STACKS, type SYMBOL } from './decorated.ts';
import { compileDecorated, type Decorated, FORMS, loadDecorated } from './form.ts';
import { Shop } from './shop.ts';

describe.each(FORMS)('decorators in %s form', (_name, form) => {
  let decorated: Decorated;
  let shop: Shop;
  beforeAll(async () => {
    decorated = await loadDecorated(form);
    shop = await Shop.open('first');
  });
  afterAll(() => shop?.close());
  beforeEach(() => shop.clear());

  describe('in either order, with another decorator above, between and below,', () => {
    const service = () => {
      const Stacks = decorated.stacksOf(shop.insert, (name) =>
        form.adapt((_target: object, _key: string, { value }: PropertyDescriptor) => Reflect.defineMetadata('mark', name, value)),
      );
      return new Stacks();
    };

    it.each(STACKS)('%s commits the event with the data', async (name) => {
      expect(await service()[name]('a')).toEqual({ id: 'a' });
      expect([shop.orders(), shop.events()]).toEqual([['a'], ['a']]);
    });

    it.each(STACKS)('%s leaves nothing when the method throws', async (name) => {
      await expect(service()[name]('declined')).rejects.toThrow('declined');
      expect([shop.orders(), shop.events()]).toEqual([[], []]);
    });

    it.each(STACKS)("%s keeps the method's name, length and metadata", (name) => {
      const method = service()[name];
      expect([method.name, method.length, Reflect.getMetadata('mark', method)]).toEqual([name, 1, name]);
    });
  });

  describe('make events', () => {
    /** A decorator of somebody else, which puts a method of its own in the place of this one. */
    const wrapping = form.adapt((_target: object, _key: string, descriptor: PropertyDescriptor) => {
      const { value } = descriptor;
      descriptor.value = function (this: unknown, ...args: unknown[]): unknown {
        return value.apply(this, args);
      };
    });
    const publishers = () => decorated.publishersOf(shop.insert, wrapping);
    const service = () => new (publishers())();

    it('of the result', async () => {
      await service().fromResult('a');
      expect(shop.events()).toEqual(['a']);
    });

    it('of the arguments', async () => {
      await service().fromArguments('a', 'b');
      expect([shop.orders(), shop.events()]).toEqual([['a'], ['ab']]);
    });

    it('under a condition, and asynchronously', async () => {
      await service().whenWanted(false);
      await service().later(false);
      expect([shop.orders(), shop.events()]).toEqual([['conditional', 'asynchronous'], []]);
      await service().whenWanted(true);
      await service().later(true);
      expect(shop.events()).toEqual(['conditional', 'asynchronous, later']);
    });

    it('one for each payload, none for none', async () => {
      await service().each([]);
      await service().each(['a', 'b']);
      await service().eachLater(['c', 'd']);
      expect(shop.events()).toEqual(['a', 'b', 'c', 'd']);
    });

    it.each(['twiceBelow', 'twiceAbove', 'onBothSides'] as const)('for every decorator, the innermost first (%s)', async (name) => {
      await service()[name]('a');
      expect(shop.events()).toEqual(['a, first', 'a, second']);
    });

    it('of methods with a symbol for a name, and of static ones', async () => {
      await service()[decorated.SYMBOL as typeof SYMBOL]('a');
      await publishers().fromClass('b');
      expect([shop.orders(), shop.events()]).toEqual([
        ['a', 'b'],
        ['a', 'b'],
      ]);
    });

    it('and roll back what no event can be made of', async () => {
      await expect(service().throwingMapper('a')).rejects.toThrow('no payload');
      await expect(service().notEncodable('a')).rejects.toMatchObject({ code: 'PAYLOAD_NOT_ENCODABLE' });
      await expect(service().eachOfNoIterable(['a'])).rejects.toThrow();
      expect([shop.orders(), shop.events()]).toEqual([[], []]);
    });

    it('in the transaction that is open around the call, and outside of one run nothing', async () => {
      await expect(service().withoutTransaction('a')).rejects.toMatchObject({ code: 'NO_UNIT_OF_WORK' });
      expect(shop.orders()).toEqual([]);
      await shop.outbox.transaction(() => service().withoutTransaction('a'));
      expect([shop.orders(), shop.events()]).toEqual([['a'], ['a']]);
    });

    it('only in a transaction that they see: one that is hidden below the wrapper of another decorator is told, not done without', async () => {
      await expect(service().hiddenTransaction('a')).rejects.toMatchObject({ code: 'NO_UNIT_OF_WORK' });
      expect([shop.orders(), shop.events()]).toEqual([[], []]);
      await shop.outbox.transaction(() => service().hiddenTransaction('a'));
      expect([shop.orders(), shop.events()]).toEqual([['a'], ['a']]);
    });

    it('of one method while another fails beside it', async () => {
      const outcomes = await Promise.allSettled(['a', 'declined', 'b'].map((id) => service().fromResult(id)));
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect([shop.orders(), shop.events()]).toEqual([
        ['a', 'b'],
        ['a', 'b'],
      ]);
    });
  });

  describe('and inheritance:', () => {
    const family = () => decorated.familyOf(shop.insert);

    it('an inherited method is decorated, and runs on the object it is called on', async () => {
      await new (family().Inherits)('x-').place('a');
      expect([shop.orders(), shop.events()]).toEqual([['x-a'], ['x-a']]);
    });

    it('an override without decorators has no transaction of its own: that of super has committed when it throws', async () => {
      await new (family().CallsSuper)('').place('a');
      await expect(new (family().CallsSuper)('').place('declined')).rejects.toThrow('declined');
      expect([shop.orders(), shop.events()]).toEqual([
        ['a', 'declined'],
        ['a', 'declined'],
      ]);
    });

    it('an override without decorators and without super publishes nothing', async () => {
      await new (family().Replaces)('').place('a');
      expect([shop.orders(), shop.events()]).toEqual([['a'], []]);
    });

    it('a decorated override and super are one transaction', async () => {
      await new (family().Redecorates)('').place('a');
      await expect(new (family().Redecorates)('').place('declined')).rejects.toThrow('declined');
      expect([shop.orders(), shop.events()]).toEqual([['a'], ['a', 'a, outer']]);
    });

    it('an override that only publishes needs a transaction around it, and has nothing of super done without', async () => {
      await expect(new (family().OnlyPublishes)('').place('a')).rejects.toMatchObject({ code: 'NO_UNIT_OF_WORK' });
      expect([shop.orders(), shop.events()]).toEqual([[], []]);
      await shop.outbox.transaction(() => new (family().OnlyPublishes)('').place('a'));
      expect([shop.orders(), shop.events()]).toEqual([['a'], ['a', 'a']]);
    });
  });

  describe('find their outbox', () => {
    let second: Shop;
    beforeEach(async () => {
      second = await Shop.open('second');
      return () => second.close();
    });

    it('by name, by the object, and by the open transaction', async () => {
      const service = new decorated.Choosing(second.outbox);
      await service.transactionByName('a');
      await service.transactionByObject('b');
      await service.bothByName('c');
      await second.outbox.transaction(() => service.publishesByNothing('d'));
      await second.outbox.transaction(() => service.byNothing());
      await second.outbox.transaction(() => service.publishesByObject('e'));
      expect([shop.events(), second.events()]).toEqual([[], ['a', 'b', 'c', 'd', 'e']]);
    });

    it('and refuse to publish into a transaction of another', async () => {
      await expect(new decorated.Choosing().different('a')).rejects.toMatchObject({ code: 'NO_UNIT_OF_WORK' });
      expect([shop.events(), second.events()]).toEqual([[], []]);
    });

    it.each(['byNothing', 'publishesByNothing'] as const)('or list those there are: several (%s)', async (name) => {
      await expect(new decorated.Choosing()[name]('a')).rejects.toMatchObject({
        code: 'OUTBOX_AMBIGUOUS',
        message: expect.stringMatching(/"first", "second"/),
      });
    });

    it.each(['byUnknownName', 'publishesByUnknownName'] as const)('or list those there are: none of that name (%s)', async (name) => {
      await expect(new decorated.Choosing()[name]('a')).rejects.toMatchObject({
        code: 'OUTBOX_NOT_CREATED',
        message: expect.stringMatching(/"third" .*"first", "second"/),
      });
    });

    it.each(['transactionByObject', 'publishesByObject'] as const)('or say that the object has none (%s)', async (name) => {
      await expect(new decorated.Choosing()[name]('a')).rejects.toMatchObject({
        code: 'OUTBOX_NOT_CREATED',
        message: expect.stringMatching(/returned undefined and not an outbox .*"first", "second"/),
      });
    });

    it('or say that there are two of that name', async () => {
      const namesake = await Shop.open('second');
      onTestFinished(() => namesake.close());
      await expect(new decorated.Choosing().transactionByName('a')).rejects.toMatchObject({
        code: 'OUTBOX_AMBIGUOUS',
        message: expect.stringContaining('2 outboxes named "second"'),
      });
    });

    it('or say that there is none', async () => {
      await second.close();
      await shop.outbox.close();
      await expect(new decorated.Choosing().byNothing()).rejects.toMatchObject({
        code: 'OUTBOX_NOT_CREATED',
        message: expect.stringContaining('live: none'),
      });
      shop.database.close();
      shop = await Shop.open('first');
      second = await Shop.open('second');
    });
  });

  describe('are refused where they are written', () => {
    const Placed = () => decorated.Placed;
    const decorators: readonly (readonly [string, () => unknown])[] = [
      ['@Transactional', () => Transactional()],
      ['@Publishes', () => Publishes(Placed())],
      ['@PublishesEach', () => PublishesEach(Placed(), () => [])],
    ];

    it.each(decorators)('%s on anything but a method', (name, decorator) => {
      for (const [kind, key, define] of decorated.MISUSES) {
        expect(() => define(decorator()), `${kind} ${key}`).toThrow(
          expect.objectContaining({
            code: 'DECORATOR_MISUSE',
            message: expect.stringMatching(new RegExp(`^${name} decorates methods that return a promise, and ${key} is a ${kind}\\.`)),
          }),
        );
      }
    });

    it.each(decorators)('%s where it is called as a function', (_name, decorator) => {
      const call = decorator() as (...args: unknown[]) => unknown;
      for (const args of [
        [async () => undefined],
        [undefined],
        ['place'],
        [{ place: 1 }, 'place', { value: 1 }],
        [{ place() {} }, 'place', 0],
        [{ place() {} }, 'place'],
        [undefined, { kind: 'method', name: 'place' }],
        [1, { kind: 'accessor', name: 'place' }],
      ]) {
        expect(() => call(...args)).toThrow(expect.objectContaining({ code: 'DECORATOR_MISUSE' }));
      }
    });
  });

  it('have the types that the compiler asks for', async () => {
    await compileDecorated(form);
  });
});

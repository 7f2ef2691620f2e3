// The decorated classes of these tests. Compiled in legacy and in TC39 form, so it has nothing that only one of them knows.
import { defineEvent } from '@txbox/core';
import { Publishes, PublishesEach, Transactional } from '@txbox/outbox';
import type { SqliteOutbox } from '@txbox/outbox/sqlite';

export interface Order {
  readonly id: string;
}

export const Placed = defineEvent('order.placed', { topic: 'orders', key: (order: Order) => order.id });

/** Writes an order by plain use of the database. */
export type Insert = (id: string) => unknown;

/** A decorator of somebody else, which keeps its metadata on the method. */
export type Mark = (name: string) => any;

function placing(insert: Insert) {
  return (id: string): Order => {
    insert(id);
    if (id.startsWith('declined')) throw new Error('declined');
    return { id };
  };
}

/** Both decorators in either order, with another one above, between and below. */
export function stacksOf(insert: Insert, mark: Mark) {
  const place = placing(insert);
  class Stacks {
    @mark('markTransactionalPublishes')
    @Transactional()
    @Publishes(Placed)
    async markTransactionalPublishes(id: string): Promise<Order> {
      return place(id);
    }

    @Transactional()
    @mark('transactionalMarkPublishes')
    @Publishes(Placed)
    async transactionalMarkPublishes(id: string): Promise<Order> {
      return place(id);
    }

    @Transactional()
    @Publishes(Placed)
    @mark('transactionalPublishesMark')
    async transactionalPublishesMark(id: string): Promise<Order> {
      return place(id);
    }

    @mark('markPublishesTransactional')
    @Publishes(Placed)
    @Transactional()
    async markPublishesTransactional(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed)
    @mark('publishesMarkTransactional')
    @Transactional()
    async publishesMarkTransactional(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed)
    @Transactional()
    @mark('publishesTransactionalMark')
    async publishesTransactionalMark(id: string): Promise<Order> {
      return place(id);
    }
  }
  return Stacks;
}

export const STACKS = [
  'markTransactionalPublishes',
  'transactionalMarkPublishes',
  'transactionalPublishesMark',
  'markPublishesTransactional',
  'publishesMarkTransactional',
  'publishesTransactionalMark',
] as const;

export const SYMBOL: unique symbol = Symbol('placed');

/** What events are made of. */
export function publishersOf(insert: Insert, asAnotherMethod: any) {
  const place = placing(insert);
  class Publishers {
    @Transactional()
    @Publishes(Placed)
    async fromResult(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed, (_result: unknown, id: string, suffix: string) => ({ id: id + suffix }))
    @Transactional()
    async fromArguments(id: string, _suffix: string): Promise<void> {
      place(id);
    }

    @Transactional()
    @Publishes(Placed, (order: Order, wanted: boolean) => (wanted ? order : undefined))
    async whenWanted(_wanted: boolean): Promise<Order> {
      return place('conditional');
    }

    @Publishes(Placed, async (order: Order, wanted: boolean) => {
      await new Promise((resolve) => setImmediate(resolve));
      return wanted ? { id: `${order.id}, later` } : undefined;
    })
    @Transactional()
    async later(_wanted: boolean): Promise<Order> {
      return place('asynchronous');
    }

    @Transactional()
    @PublishesEach(Placed, (orders: Order[]) => orders)
    async each(ids: string[]): Promise<Order[]> {
      return ids.map(place);
    }

    @PublishesEach(Placed, async function* fromArguments(_result: unknown, ids: string[]) {
      yield* ids.map((id) => ({ id }));
    } as never)
    @Transactional()
    async eachOfNoIterable(ids: string[]): Promise<void> {
      ids.map(place);
    }

    @PublishesEach(Placed, async (orders: Iterable<Order>, ..._args: unknown[]) => new Set(orders))
    @Transactional()
    async eachLater(ids: string[]): Promise<Order[]> {
      return ids.map(place);
    }

    @Transactional()
    @Publishes(Placed, (order: Order) => ({ id: `${order.id}, second` }))
    @Publishes(Placed, (order: Order) => ({ id: `${order.id}, first` }))
    async twiceBelow(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed, (order: Order) => ({ id: `${order.id}, second` }))
    @Publishes(Placed, (order: Order) => ({ id: `${order.id}, first` }))
    @Transactional()
    async twiceAbove(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed, (order: Order) => ({ id: `${order.id}, second` }))
    @Transactional()
    @Publishes(Placed, (order: Order) => ({ id: `${order.id}, first` }))
    async onBothSides(id: string): Promise<Order> {
      return place(id);
    }

    @Transactional()
    @Publishes(Placed, () => {
      throw new Error('no payload');
    })
    async throwingMapper(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed, () => ({ id: 10n as never }))
    @Transactional()
    async notEncodable(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed)
    @asAnotherMethod
    @Transactional()
    async hiddenTransaction(id: string): Promise<Order> {
      return place(id);
    }

    @Publishes(Placed)
    async withoutTransaction(id: string): Promise<Order> {
      return place(id);
    }

    @Transactional()
    @Publishes(Placed)
    async [SYMBOL](id: string): Promise<Order> {
      return place(id);
    }

    @Transactional()
    @Publishes(Placed)
    static async fromClass(id: string): Promise<Order> {
      return place(id);
    }
  }
  return Publishers;
}

/** Classes that inherit from a decorated one. */
export function familyOf(insert: Insert) {
  class Base {
    readonly prefix: string;

    constructor(prefix: string) {
      this.prefix = prefix;
    }

    @Transactional()
    @Publishes(Placed)
    async place(id: string): Promise<Order> {
      insert(this.prefix + id);
      return { id: this.prefix + id };
    }
  }

  class Inherits extends Base {}

  /** Without decorators of its own; the transaction is that of super. */
  class CallsSuper extends Base {
    override async place(id: string): Promise<Order> {
      const order = await super.place(id);
      if (id === 'declined') throw new Error('declined');
      return order;
    }
  }

  /** Without decorators and without super. */
  class Replaces extends Base {
    override async place(id: string): Promise<Order> {
      insert(id);
      return { id };
    }
  }

  class Redecorates extends Base {
    @Transactional()
    @Publishes(Placed, (order: Order) => ({ id: `${order.id}, outer` }))
    override async place(id: string): Promise<Order> {
      const order = await super.place(id);
      if (id === 'declined') throw new Error('declined');
      return order;
    }
  }

  class OnlyPublishes extends Base {
    @Publishes(Placed)
    override async place(id: string): Promise<Order> {
      return await super.place(id);
    }
  }

  return { Base, Inherits, CallsSuper, Replaces, Redecorates, OnlyPublishes };
}

/** Methods that say which outbox they mean. */
export class Choosing {
  readonly outbox: SqliteOutbox | undefined;

  constructor(outbox?: SqliteOutbox) {
    this.outbox = outbox;
  }

  @Transactional({ on: 'second' })
  @Publishes(Placed)
  async transactionByName(id: string): Promise<Order> {
    return { id };
  }

  @Publishes(Placed)
  @Transactional({ on: (self: Choosing) => self.outbox as SqliteOutbox })
  async transactionByObject(id: string): Promise<Order> {
    return { id };
  }

  @Publishes(Placed, undefined, { on: (self: Choosing) => self.outbox as SqliteOutbox })
  async publishesByObject(id: string): Promise<Order> {
    return { id };
  }

  @Publishes(Placed, undefined, { on: 'second' })
  @Transactional({ on: 'second' })
  async bothByName(id: string): Promise<Order> {
    return { id };
  }

  @Publishes(Placed, undefined, { on: 'second' })
  @Transactional({ on: 'first' })
  async different(id: string): Promise<Order> {
    return { id };
  }

  @Transactional({ on: 'third' })
  async byUnknownName(): Promise<void> {}

  @Publishes(Placed, undefined, { on: 'third' })
  async publishesByUnknownName(id: string): Promise<Order> {
    return { id };
  }

  @Transactional()
  async byNothing(): Promise<void> {}

  @Publishes(Placed)
  async publishesByNothing(id: string): Promise<Order> {
    return { id };
  }
}

/** What the compiler refuses. Never run. */
export function refusedByTypes(): unknown {
  class Wrong {
    // @ts-expect-error: it returns no promise
    @Transactional()
    now(): number {
      return 1;
    }

    // @ts-expect-error: a getter is no method
    @Publishes(Placed)
    get value(): Promise<Order> {
      return Promise.resolve({ id: 'a' });
    }

    // @ts-expect-error: a field is no method
    @PublishesEach(Placed, () => [])
    field = async (): Promise<void> => undefined;

    // @ts-expect-error: not the payload of the event
    @Publishes(Placed, () => ({ id: 1 }))
    async otherPayload(): Promise<void> {}

    // @ts-expect-error: one payload is not many
    @PublishesEach(Placed, () => ({ id: 'a' }))
    async onePayload(): Promise<void> {}
  }

  // @ts-expect-error: a class is no method
  @Transactional()
  class Whole {}
  return [Wrong, Whole];
}

/** Where a decorator of methods must not stand: what the error calls it, and the class definition. */
export const MISUSES: readonly (readonly [kind: string, name: string, define: (decorator: any) => unknown])[] = [
  [
    'getter',
    'value',
    (decorator) => {
      class Wrong {
        @decorator
        get value(): number {
          return 1;
        }
      }
      return Wrong;
    },
  ],
  [
    'setter',
    'value',
    (decorator) => {
      class Wrong {
        held = 0;

        @decorator
        set value(value: number) {
          this.held = value;
        }
      }
      return Wrong;
    },
  ],
  [
    'field',
    'count',
    (decorator) => {
      class Wrong {
        @decorator
        count = 1;
      }
      return Wrong;
    },
  ],
  [
    'field',
    'arrow',
    (decorator) => {
      class Wrong {
        @decorator
        arrow = async (): Promise<void> => undefined;
      }
      return Wrong;
    },
  ],
  [
    'field',
    'shared',
    (decorator) => {
      class Wrong {
        @decorator
        static shared = 1;
        own = 1;
      }
      return Wrong;
    },
  ],
  [
    'generator',
    'list',
    (decorator) => {
      class Wrong {
        @decorator
        *list(): Generator<number> {
          yield 1;
        }
      }
      return Wrong;
    },
  ],
  [
    'generator',
    'stream',
    (decorator) => {
      class Wrong {
        @decorator
        async *stream(): AsyncGenerator<number> {
          yield 1;
        }
      }
      return Wrong;
    },
  ],
  [
    'class',
    'Wrong',
    (decorator) => {
      @decorator
      class Wrong {}
      return Wrong;
    },
  ],
];

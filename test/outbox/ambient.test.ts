import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent } from '@txbox/core';
import { onLocalWake } from '@txbox/core/spi';
import { Publishes } from '@txbox/outbox';
import { createOutbox } from '@txbox/outbox/typeorm';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { EntityManager } from 'typeorm';
import * as typeorm1 from 'typeorm';
import * as typeorm03 from 'typeorm03';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AmbientFramework, type AmbientKind, nestjsCls, typeormTransactional } from './ambient-framework.ts';
import { dataSourceOf, Placed, SERVERS, type Service, startService, untilWaiting } from './lane.ts';
import { WireTap } from './wire-tap.ts';

const Strict = defineEvent('strict', { topic: 'orders', strictOrder: true, key: (payload: { id: string }) => payload.id });

const LANES = SERVERS.flatMap((server) => [
  [`typeorm-transactional, TypeORM 1 on ${server[0]}`, typeormTransactional, server, typeorm1] as const,
  [`@nestjs-cls/transactional, TypeORM 1 on ${server[0]}`, nestjsCls, server, typeorm1] as const,
  // typeorm-transactional changes the TypeORM that it finds, which is one.
  [`@nestjs-cls/transactional, TypeORM 0.3 on ${server[0]}`, nestjsCls, server, typeorm03 as unknown as typeof typeorm1] as const,
]);

describe.each(LANES)('events in a transaction of %s', (_name, kind: AmbientKind, server, typeorm) => {
  let service: Service;
  let framework: AmbientFramework;
  let tap: WireTap;
  let other: Connection;
  beforeAll(async () => {
    service = await startService(server, typeorm, {
      outbox: { currentManager: () => framework.currentManager() },
      url: async (url) => {
        tap = await WireTap.start(url);
        return tap.urlOf(url);
      },
    });
    framework = await kind.start(service.dataSource);
    other = await service.database.connect();
  });
  afterAll(async () => {
    await other.end();
    await framework.close();
    await service.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(() => service.database.clear());

  const manager = (): EntityManager => framework.currentManager() as EntityManager;
  const place = (id: string): Promise<unknown> => manager().query('INSERT INTO orders VALUES (?, 1)', [id]);
  /** What is committed: orders, and events by position. */
  const stored = async (): Promise<[orders: string[], events: string[]]> => [
    await service.database.orders(),
    await service.database.events(),
  ];

  it('commit with it, and vanish with its rollback', async () => {
    const { outbox } = service;
    await framework.transaction(async () => {
      outbox.add(Placed, { id: 'a' });
      await place('a');
      outbox.add(Placed, { id: 'b' });
    });
    const declined = framework.transaction(async () => {
      await place('c');
      outbox.add(Placed, { id: 'c' });
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    expect(await stored()).toEqual([['a'], ['a', 'b']]);
  });

  it('are inserted by one statement, right before COMMIT, after what hooks before COMMIT write', async () => {
    const { outbox, dataSource } = service;
    const subscriber = {
      beforeTransactionCommit: async ({ queryRunner }: { queryRunner: typeorm1.QueryRunner }) => {
        await queryRunner.query("INSERT INTO orders VALUES ('by a hook', 1)");
      },
    };
    const subscribers = dataSource.subscribers as typeorm1.EntitySubscriberInterface[];
    subscribers.push(subscriber);
    try {
      await framework.transaction(async () => {
        outbox.add(Placed, { id: 'a' });
        await place('a');
        tap.statements.length = 0;
      });
    } finally {
      subscribers.splice(subscribers.indexOf(subscriber), 1);
    }
    const words = tap.statements
      .filter((sql) => !/_schema|max_allowed_packet/.test(sql))
      .map((sql) => sql.replaceAll('`', '').split(' ', 3).join(' '));
    expect(words).toEqual(['INSERT INTO orders', 'DO 0', 'INSERT INTO txbox_outbox', 'COMMIT']);
    expect(await stored()).toEqual([['a', 'by a hook'], ['a']]);
  });

  it('come in the order of the aggregate lock, not of add', async () => {
    const { outbox, database } = service;
    await database.admin.query("INSERT INTO orders VALUES ('x', 0)");
    const lock = async (): Promise<string> => {
      const [row] = await manager().query('SELECT CONNECTION_ID() AS id');
      return String(row.id);
    };
    const early = Promise.withResolvers<void>();
    const locked = Promise.withResolvers<void>();
    const waiting = Promise.withResolvers<string>();
    const second = framework.transaction(async () => {
      outbox.add(Placed, { id: 'second' });
      const thread = await lock();
      early.resolve();
      await locked.promise;
      waiting.resolve(thread);
      await manager().query("UPDATE orders SET amount = 2 WHERE id = 'x'");
    });
    await early.promise;
    await framework.transaction(async () => {
      await manager().query("UPDATE orders SET amount = 1 WHERE id = 'x'");
      locked.resolve();
      await untilWaiting(database.admin, await waiting.promise);
      outbox.add(Placed, { id: 'first' });
    });
    await second;
    expect(await database.events()).toEqual(['first', 'second']);
  });

  it('of two transactions at the same time keep apart', async () => {
    const { outbox } = service;
    const both = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const outcomes = await Promise.allSettled(
      (['kept', 'undone'] as const).map((id, at) =>
        framework.transaction(async () => {
          await place(id);
          outbox.add(Placed, { id });
          both[at]?.resolve();
          await Promise.all(both.map(({ promise }) => promise));
          if (id === 'undone') throw new Error('undone');
          outbox.add(Placed, { id: `${id} too` });
        }),
      ),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(await stored()).toEqual([['kept'], ['kept', 'kept too']]);
  });

  it('added in a transaction of its own survive the outer rollback, and the other way round', async () => {
    const { outbox } = service;
    const undone = framework.transaction(async () => {
      await place('outer');
      outbox.add(Placed, { id: 'outer' });
      await framework.transaction(async () => {
        await place('inner');
        outbox.add(Placed, { id: 'inner' });
      }, 'requires-new');
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect(await stored()).toEqual([['inner'], ['inner']]);
    await service.database.clear();
    await framework.transaction(async () => {
      const inner = framework.transaction(async () => {
        await place('inner');
        outbox.add(Placed, { id: 'inner' });
        throw new Error('undone');
      }, 'requires-new');
      await expect(inner).rejects.toThrow('undone');
    });
    expect(await stored()).toEqual([[], []]);
  });

  it('join the transaction that is open, where the framework joins it', async () => {
    const { outbox } = service;
    const undone = framework.transaction(async () => {
      await framework.transaction(async () => {
        await place('a');
        outbox.add(Placed, { id: 'a' });
      });
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect(await stored()).toEqual([[], []]);
  });

  if (kind.savepoints) {
    it('vanish with a nested transaction, also where the first was added inside', async () => {
      const { outbox } = service;
      const nested = (id: string, fails: boolean): Promise<void> =>
        framework.transaction(async () => {
          await place(id);
          outbox.add(Placed, { id });
          if (fails) throw new Error('undone');
        }, 'nested');
      await framework.transaction(async () => {
        await expect(nested('a', true)).rejects.toThrow('undone');
        await nested('b', false);
        outbox.add(Placed, { id: 'c' });
        await expect(nested('d', true)).rejects.toThrow('undone');
        const outer = framework.transaction(async () => {
          await nested('e', false);
          throw new Error('undone');
        }, 'nested');
        await expect(outer).rejects.toThrow('undone');
        await nested('f', false);
      });
      expect(await stored()).toEqual([
        ['b', 'f'],
        ['b', 'c', 'f'],
      ]);
    });
  }

  it('vanish with a savepoint that was set by hand', async () => {
    const { outbox } = service;
    await framework.transaction(async () => {
      await place('a');
      await manager().query('SAVEPOINT early');
      outbox.add(Placed, { id: 'b' });
      await manager().query('/* back */ rollback to early;');
      outbox.add(Placed, { id: 'c' });
    });
    expect(await stored()).toEqual([['a'], ['c']]);
  });

  it('are no ghosts after a swallowed deadlock', async () => {
    const { outbox, database } = service;
    await database.admin.query("INSERT INTO orders VALUES ('x', 0), ('y', 0)");
    const swallowed = framework.transaction(async () => {
      outbox.add(Placed, { id: 'before' });
      await other.query('START TRANSACTION');
      for (let n = 0; n < 50; n += 1) await other.query('INSERT INTO orders VALUES (?, 0)', [`heavy${n}`]);
      await other.query("UPDATE orders SET amount = 9 WHERE id = 'y'");
      await manager().query("UPDATE orders SET amount = 1 WHERE id = 'x'");
      const crossing = other.query("UPDATE orders SET amount = 9 WHERE id = 'x'");
      await untilWaiting(database.admin, other.threadId);
      await expect(manager().query("UPDATE orders SET amount = 1 WHERE id = 'y'")).rejects.toMatchObject({ errno: 1213 });
      await crossing;
      await other.query('ROLLBACK');
      outbox.add(Placed, { id: 'after' });
    });
    await expect(swallowed).rejects.toMatchObject({ code: 'NO_OPEN_TRANSACTION' });
    expect(await stored()).toEqual([['x', 'y'], []]);
    expect(await database.amountOf('x')).toBe(0);
  });

  it('roll it back when they cannot be inserted', async () => {
    const { database, dataSource } = service;
    await using broken = createOutbox({ dataSource, name: 'broken', tablePrefix: 'missing_' });
    const failing = framework.transaction(async () => {
      await place('a');
      broken.add(Placed, { id: 'a' });
    });
    await expect(failing).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    expect(await database.orders()).toEqual([]);
  });

  it('are not left behind by a second COMMIT after they could not be inserted', async () => {
    tap.lieAt({ text: 'INSERT INTO `txbox_outbox`', instead: 'SELECT 1', errno: 1205 });
    const insisting = framework.transaction(async () => {
      await place('a');
      service.outbox.add(Placed, { id: 'a' });
      await expect(manager().query('COMMIT')).rejects.toMatchObject({ errno: 1205 });
    });
    await expect(insisting).rejects.toMatchObject({ errno: 1205 });
    expect(await stored()).toEqual([[], []]);
  });

  it('are numbered where they ask for it', async () => {
    const { outbox, database } = service;
    for (let n = 0; n < 2; n += 1) {
      await framework.transaction(async () => {
        outbox.add(Strict, { id: 'a' });
        outbox.add(Strict, { id: 'a' });
      });
    }
    const [rows] = await database.admin.query<RowDataPacket[]>('SELECT sequence FROM txbox_outbox ORDER BY position');
    expect(rows.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
  });

  it('wake the relay after COMMIT', async () => {
    const woken: (readonly number[])[] = [];
    const stop = onLocalWake((shards) => woken.push(shards));
    await framework.transaction(async () => {
      service.outbox.add(Placed, { id: 'a' });
      await place('a');
      expect(woken).toEqual([]);
    });
    stop();
    expect(woken).toEqual([[expect.any(Number)]]);
  });

  it('are refused outside, after its end, and where the framework steps out', async () => {
    const { outbox } = service;
    const add = (): unknown => outbox.add(Placed, { id: 'late' });
    expect(add).toThrowError(expect.objectContaining({ code: 'NO_UNIT_OF_WORK' }));
    let late: Promise<void> | undefined;
    const over = Promise.withResolvers<void>();
    await framework.transaction(async () => {
      outbox.add(Placed, { id: 'a' });
      late = over.promise.then(() => void add());
      await framework.transaction(async () => {
        expect(add).toThrowError(expect.objectContaining({ code: 'NO_UNIT_OF_WORK' }));
      }, 'not-supported');
    });
    over.resolve();
    await expect(late).rejects.toMatchObject({ code: 'NO_UNIT_OF_WORK' });
    expect(await stored()).toEqual([[], ['a']]);
  });

  it('are refused once they are being inserted', async () => {
    const { outbox } = service;
    let lagging: Promise<unknown> | undefined;
    await framework.transaction(async () => {
      outbox.add(Placed, { id: 'a' });
      // Nobody awaits it, and it is answered before the statements that end the transaction.
      lagging = manager()
        .query('SELECT SLEEP(0.2)')
        .then(() => outbox.add(Placed, { id: 'late' }));
      lagging.catch(() => undefined);
    });
    await expect(lagging).rejects.toMatchObject({ code: expect.stringMatching(/^(?:UNIT_CLOSED|NO_UNIT_OF_WORK)$/) });
    expect(await stored()).toEqual([[], ['a']]);
  });

  it('of another DataSource are refused', async () => {
    const stranger = dataSourceOf(typeorm, service.database.url);
    await using foreign = createOutbox({ dataSource: stranger, name: 'stranger', currentManager: () => framework.currentManager() });
    await framework.transaction(async () => {
      expect(() => foreign.add(Placed, { id: 'a' })).toThrowError(expect.objectContaining({ code: 'WRONG_DATA_SOURCE' }));
    });
  });

  describe('@Publishes', () => {
    class Orders {
      @kind.Transactional()
      @Publishes(Placed)
      async below(id: string): Promise<{ id: string }> {
        await place(id);
        if (id === 'declined') throw new Error('declined');
        return { id };
      }

      @Publishes(Placed)
      @kind.Transactional()
      async above(id: string): Promise<{ id: string }> {
        await place(id);
        if (id === 'declined') throw new Error('declined');
        return { id };
      }
    }
    const orders = new Orders();

    it('below the decorator of the framework adds to its transaction', async () => {
      await orders.below('a');
      await expect(orders.below('declined')).rejects.toThrow('declined');
      expect(await stored()).toEqual([['a'], ['a']]);
    });

    it('above it adds to the transaction around, and is refused without one before the method runs', async () => {
      await framework.transaction(async () => {
        await orders.above('a');
      });
      await expect(orders.above('b')).rejects.toMatchObject({ code: 'NO_UNIT_OF_WORK' });
      const undone = framework.transaction(async () => {
        await orders.above('c');
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      expect(await stored()).toEqual([['a'], ['a']]);
    });
  });

  describe('beside units of ours', () => {
    it('the innermost is ours when it is inside', async () => {
      const { outbox } = service;
      const undone = framework.transaction(async () => {
        outbox.add(Placed, { id: 'outer' });
        await outbox.transaction({ propagation: 'requires-new' }, async (tx) => {
          await tx.manager.query("INSERT INTO orders VALUES ('inner', 1)");
          outbox.add(Placed, { id: 'inner' });
        });
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      expect(await stored()).toEqual([['inner'], ['inner']]);
    });

    it('one that would commit without the transaction around it is refused', async () => {
      const { outbox } = service;
      await framework.transaction(async () => {
        await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject({ code: 'PROPAGATION_REFUSED' });
      });
    });

    it('a transaction of the framework inside one of ours is part of it', async () => {
      const { outbox } = service;
      const undone = outbox.transaction(async () => {
        await framework.transaction(async () => {
          await place('a');
          outbox.add(Placed, { id: 'a' });
        });
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      await outbox.transaction(async () => {
        const nested = framework.transaction(async () => {
          await place('b');
          outbox.add(Placed, { id: 'b' });
          throw new Error('undone');
        });
        await expect(nested).rejects.toThrow('undone');
        await framework.transaction(async () => {
          await place('c');
          outbox.add(Placed, { id: 'c' });
        });
      });
      expect(await stored()).toEqual([['c'], ['c']]);
    });
  });
});

describe('events in a transaction of @nestjs-cls/transactional on SQLite', () => {
  it('commit with it, vanish with what is rolled back, and leave the one connection to units of ours', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'txbox-ambient-'));
    const dataSource = new typeorm1.DataSource({ type: 'better-sqlite3', database: join(folder, 'service.db') });
    await dataSource.initialize();
    await dataSource.query('CREATE TABLE orders (id TEXT PRIMARY KEY)');
    const framework = await nestjsCls.start(dataSource);
    const outbox = createOutbox({ dataSource, currentManager: () => framework.currentManager() });
    try {
      await outbox.migrate();
      const place = async (id: string, fails = false): Promise<void> => {
        await framework.currentManager()?.query('INSERT INTO orders VALUES (?)', [id]);
        outbox.add(Placed, { id });
        if (fails) throw new Error('undone');
      };
      await framework.transaction(async () => {
        await place('a');
        await expect(framework.transaction(() => place('b', true), 'nested')).rejects.toThrow('undone');
        await framework.transaction(() => place('c'), 'nested');
      });
      await expect(framework.transaction(() => place('d', true))).rejects.toThrow('undone');
      await outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'e' });
        expect(() => outbox.outside(() => outbox.add(Placed, { id: 'f' }))).toThrowError(
          expect.objectContaining({ code: 'NO_UNIT_OF_WORK' }),
        );
      });
      expect(await dataSource.query('SELECT id FROM orders ORDER BY id')).toEqual([{ id: 'a' }, { id: 'c' }]);
      const rows: { message_key: Buffer }[] = await dataSource.query('SELECT message_key FROM txbox_outbox ORDER BY position');
      expect(rows.map(({ message_key }) => message_key.toString())).toEqual(['a', 'c', 'e']);
    } finally {
      await outbox.close();
      await framework.close();
      await dataSource.destroy();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('several DataSources', () => {
  it('a decorator means the one in which the framework has a transaction open', async () => {
    const [server] = SERVERS;
    if (!server) throw new Error('There is no server.');
    let framework: AmbientFramework | undefined;
    const one = await startService(server, typeorm1, { outbox: { name: 'one', currentManager: () => framework?.currentManager() } });
    const other = await startService(server, typeorm1, { outbox: { name: 'other' } });
    framework = await nestjsCls.start(one.dataSource);
    class Orders {
      @Publishes(Placed)
      async place(id: string): Promise<{ id: string }> {
        return { id };
      }
    }
    try {
      await framework.transaction(() => new Orders().place('a'));
      expect([await one.database.events(), await other.database.events()]).toEqual([['a'], []]);
      await expect(new Orders().place('b')).rejects.toMatchObject({ code: 'OUTBOX_AMBIGUOUS' });
    } finally {
      await framework.close();
      await one.close();
      await other.close();
    }
  });
});

import { createOutbox, type TypeormOutbox } from '@txbox/outbox/typeorm';
import type { EntityManager, Repository } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FEW_LANES, type Service, startService } from './lane.ts';
import { type Author, type Book, contentsOf, libraryEntities, type Review, resetLibrary, type Tag, type TreeNode } from './library.ts';

const PRELOAD = 'preload and merge';

/** Ways of using a manager; each writes, and looks at what it wrote. */
const USES: Readonly<Record<string, (manager: EntityManager) => Promise<unknown>>> = {
  'insert, update and delete of a repository': async (manager) => {
    const tags = manager.getRepository<Tag>('Tag');
    await tags.insert([{ id: 'essay' }, { id: 'story' }]);
    await tags.update({ id: 'essay' }, { id: 'letter' });
    await tags.delete({ id: 'story' });
    expect(await tags.countBy({ id: 'letter' })).toBe(1);
  },
  'save and remove': async (manager) => {
    const books = manager.getRepository<Book>('Book');
    const book = await books.findOneByOrFail({ id: 'left hand' });
    book.pages += 1;
    await books.save(book);
    await manager.remove('Review', await manager.findBy<Review>('Review', { book: { id: 'lathe' } }));
    await books.remove(await books.findOneByOrFail({ id: 'lathe' }));
    expect(await books.find()).toMatchObject([{ id: 'left hand', pages: 301 }]);
  },
  'save of many in chunks': async (manager) => {
    await manager.getRepository<Tag>('Tag').save(
      Array.from({ length: 7 }, (_, n) => ({ id: `tag ${n}` })),
      { chunk: 3 },
    );
    expect(await manager.count('Tag')).toBe(8);
  },
  'upsert, increment and decrement': async (manager) => {
    const books = manager.getRepository<Book>('Book');
    await books.upsert(
      [
        { id: 'lathe', title: 'The Lathe of Heaven', pages: 184 },
        { id: 'tehanu', title: 'Tehanu', pages: 226 },
      ],
      ['id'],
    );
    await books.increment({ id: 'lathe' }, 'pages', 10);
    await books.decrement({ id: 'tehanu' }, 'pages', 6);
    expect(await books.sum('pages')).toBe(300 + 194 + 220);
  },
  'soft deletion and restoring': async (manager) => {
    const authors = manager.getRepository<Author>('Author');
    await authors.save([
      { id: 'borges', name: 'Jorge Luis' },
      { id: 'calvino', name: 'Italo' },
    ]);
    await authors.softDelete({ id: 'borges' });
    await authors.softRemove(await authors.findOneByOrFail({ id: 'calvino' }));
    await authors.softDelete({ id: 'le guin' });
    expect(await authors.count()).toBe(0);
    await authors.restore({ id: 'le guin' });
    await authors.recover(await authors.findOneOrFail({ where: { id: 'calvino' }, withDeleted: true }));
    expect(await authors.count()).toBe(2);
  },
  'a repository with methods of its own': async (manager) => {
    const shelf = manager.getRepository<Book>('Book').extend({
      async lengthen(this: Repository<Book>, id: string): Promise<void> {
        await this.createQueryBuilder()
          .update()
          .set({ pages: () => 'pages + 1' })
          .where({ id })
          .execute();
        await this.manager.insert('Tag', { id: 'lengthened' });
      },
    });
    await shelf.lengthen('lathe');
    expect(await shelf.findOneBy({ id: 'lathe' })).toMatchObject({ pages: 181 });
  },
  'a repository that is taken over with withRepository': async (manager) => {
    const kept = manager.getRepository<Tag>('Tag').extend({
      add(this: Repository<Tag>, id: string) {
        return this.insert({ id });
      },
    });
    await manager.withRepository(kept).add('essay');
  },
  'query builders: insert, update, delete, select': async (manager) => {
    await manager.createQueryBuilder().insert().into('Tag').values({ id: 'essay' }).execute();
    await manager.createQueryBuilder().insert().into('Tag').values({ id: 'essay' }).orIgnore().execute();
    await manager.createQueryBuilder().update('Book').set({ pages: 1 }).where({ id: 'lathe' }).execute();
    await manager.createQueryBuilder().delete().from('Review').where({ id: 'first' }).execute();
    const found = await manager
      .createQueryBuilder<Book>('Book', 'book')
      .leftJoinAndSelect('book.tags', 'tag')
      .where('book.pages = :pages', { pages: 1 })
      .getManyAndCount();
    expect(found).toMatchObject([[{ id: 'lathe', tags: [{ id: 'novel' }] }], 1]);
  },
  'query builders: soft delete, restore, relations': async (manager) => {
    await manager.createQueryBuilder().softDelete().from('Author').where({ id: 'le guin' }).execute();
    expect(await manager.count('Author')).toBe(0);
    await manager.createQueryBuilder().restore().from('Author').where({ id: 'le guin' }).execute();
    await manager.createQueryBuilder().relation('Book', 'tags').of('left hand').add('novel');
    await manager.createQueryBuilder().relation('Book', 'tags').of('lathe').remove('novel');
    await manager.createQueryBuilder().relation('Book', 'author').of('lathe').set(null);
    expect(await manager.createQueryBuilder().relation('Book', 'tags').of('left hand').loadMany()).toEqual([{ id: 'novel' }]);
    expect(await manager.countBy('Author', { books: { id: 'lathe' } })).toBe(0);
  },
  'pages with joins, which TypeORM reads in two steps': async (manager) => {
    await manager.insert('Book', { id: 'tehanu', title: 'Tehanu', author: { id: 'le guin' } });
    const books = await manager.find<Book>('Book', { relations: { author: true, tags: true }, order: { id: 'DESC' }, take: 1 });
    expect(books).toMatchObject([{ id: 'tehanu', author: { name: 'Ursula' }, tags: [] }]);
    const apart = await manager.find<Book>('Book', { relations: { author: true }, relationLoadStrategy: 'query', where: { id: 'tehanu' } });
    expect(apart).toMatchObject([{ author: { name: 'Ursula' } }]);
  },
  cascades: async (manager) => {
    await manager.save('Author', {
      id: 'borges',
      name: 'Jorge Luis',
      books: [
        { id: 'aleph', title: 'The Aleph', pages: 1, tags: [{ id: 'story' }] },
        { id: 'fictions', title: 'Fictions', pages: 2, tags: [{ id: 'story' }, { id: 'novel' }] },
      ],
    });
    expect(await manager.countBy('Book', { tags: { id: 'story' } })).toBe(2);
  },
  [PRELOAD]: async (manager) => {
    const books = manager.getRepository<Book>('Book');
    const book = await books.preload({ id: 'lathe', title: 'Lathe' });
    if (!book) throw new Error('There is no such book.');
    await books.save(books.merge(book, { pages: 181 }));
  },
  'a tree in a closure table': (manager) => growTree(manager, 'Category'),
  'a tree by paths': (manager) => growTree(manager, 'Folder'),
  'a lock read by find': async (manager) => {
    for (const mode of ['pessimistic_read', 'pessimistic_write'] as const) {
      await manager.transaction((inner) => inner.findOneOrFail('Book', { where: { id: 'lathe' }, lock: { mode } }));
    }
    await manager.update('Book', { id: 'lathe' }, { pages: 7 });
  },
  'a stream': async (manager) => {
    await manager.insert('Tag', { id: 'essay' });
    const stream = await manager.createQueryBuilder<Tag>('Tag', 'tag').orderBy('tag.id').stream();
    const ids: string[] = [];
    for await (const row of stream as AsyncIterable<unknown>) ids.push((row as { tag_id: string }).tag_id);
    expect(ids).toEqual(['essay', 'novel']);
  },
  query: async (manager) => {
    await manager.query('INSERT INTO tag VALUES (?)', ['essay']);
    expect(await manager.query('SELECT COUNT(*) AS count FROM tag')).toMatchObject([{ count: expect.anything() }]);
  },
  'lazy relations': async (manager) => {
    await manager.insert('Review', { id: 'second', text: 'Another', book: { id: 'lathe' } });
    const book = await manager.findOneByOrFail<Book>('Book', { id: 'lathe' });
    const reviews = await book.reviews;
    expect(reviews.map(({ id }) => id).sort()).toEqual(['first', 'second']);
    expect(await reviews[0]?.book).toMatchObject({ id: 'lathe' });
  },
  'nested transactions': async (manager) => {
    await manager.transaction(async (inner) => {
      await inner.insert('Tag', { id: 'essay' });
      const undone = inner.transaction(async (innermost) => {
        await innermost.insert('Tag', { id: 'story' });
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      expect(await inner.count('Tag')).toBe(2);
    });
  },
  'a transaction of a query builder, and one of save': async (manager) => {
    await manager.createQueryBuilder().insert().into('Tag').values({ id: 'essay' }).useTransaction(true).execute();
    await manager.getRepository<Tag>('Tag').save({ id: 'story' }, { transaction: true });
    await manager.getRepository<Tag>('Tag').save({ id: 'poem' }, { transaction: false });
  },
};

async function growTree(manager: EntityManager, name: 'Category' | 'Folder'): Promise<void> {
  const trees = manager.getTreeRepository<TreeNode>(name);
  const root = await trees.findOneByOrFail({ id: 'root' });
  const branch = await trees.save({ id: 'branch', name: 'Branch', parent: root });
  await trees.save([
    { id: 'leaf', name: 'Leaf', parent: branch },
    { id: 'twig', name: 'Twig', parent: branch },
  ]);
  expect((await trees.findDescendants(root)).map(({ id }) => id).sort()).toEqual(['branch', 'leaf', 'root', 'twig']);
  expect(await trees.findDescendantsTree(branch)).toMatchObject({ children: [{ id: 'leaf' }, { id: 'twig' }] });
  expect(await trees.countAncestors({ id: 'leaf', name: 'Leaf' })).toBe(3);
  expect((await trees.findRoots()).map(({ id }) => id)).toEqual(['root']);
}

const MODES = ['join', 'refuse', 'ignore'] as const;
/** Managers that take part in the open transaction, whatever the mode. */
const OURS = ['tx.manager', 'outbox.manager'] as const;

describe.each(FEW_LANES)('%s', (_name, server, typeorm) => {
  let service: Service;
  beforeAll(async () => {
    const type = server[0].startsWith('MariaDB') ? 'mariadb' : 'mysql';
    service = await startService(server, typeorm, { dataSource: { type, entities: libraryEntities(typeorm), synchronize: true } });
  });
  afterAll(() => service.close());

  describe.each(MODES)("plain use in a transaction with plainRepositories: '%s'", (mode) => {
    let outbox: TypeormOutbox;
    beforeAll(() => {
      outbox = createOutbox({ dataSource: service.dataSource, name: mode, plainRepositories: mode });
    });
    afterAll(() => outbox.close());
    beforeEach(() => resetLibrary(service.database.admin));

    const contents = (): Promise<unknown> => contentsOf(service.database.admin);
    /** What is committed by `work`, from the beginning on. */
    const effectOf = async (work: () => Promise<unknown>): Promise<unknown> => {
      await resetLibrary(service.database.admin);
      await work();
      return await contents();
    };
    const rolledBack = async (work: (manager: EntityManager) => Promise<unknown>): Promise<void> => {
      const declined = outbox.transaction(async (tx) => {
        await work(tx.manager);
        throw new Error('declined');
      });
      await expect(declined).rejects.toThrow('declined');
    };

    it.each(Object.entries(USES))('%s', async (name, use) => {
      const { manager } = service.dataSource;
      const before = await contents();
      const written = await effectOf(() => use(manager));
      expect(written).not.toEqual(before);

      // TypeORM reads through the DataSource there, whose manager ever is asked.
      const ofDataSource = name === PRELOAD && mode === 'refuse';
      for (const ours of ofDataSource ? [] : OURS) {
        const pick = (given: EntityManager): EntityManager => (ours === 'tx.manager' ? given : outbox.manager);
        expect(await effectOf(() => rolledBack((given) => use(pick(given)))), ours).toEqual(before);
        expect(await effectOf(() => outbox.transaction((tx) => use(pick(tx.manager)))), ours).toEqual(written);
      }
      if (mode === 'join') {
        expect(await effectOf(() => rolledBack(() => use(manager)))).toEqual(before);
        expect(await effectOf(() => outbox.transaction(() => use(manager)))).toEqual(written);
      } else if (mode === 'refuse') {
        const refused = (): Promise<void> => expect(use(manager)).rejects.toMatchObject({ code: 'QUERY_OUTSIDE_UNIT' });
        expect(await effectOf(() => outbox.transaction(refused))).toEqual(before);
      } else {
        expect(await effectOf(() => rolledBack(() => use(manager)))).toEqual(written);
      }
      expect(await effectOf(() => rolledBack(() => outbox.outside(() => use(manager))))).toEqual(written);
    });
  });
});

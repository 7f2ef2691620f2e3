import type { Connection, RowDataPacket } from 'mysql2/promise';
import type * as typeorm1 from 'typeorm';

type Typeorm = typeof typeorm1;

export interface Author {
  id: string;
  name: string;
  deletedAt?: Date | null;
  books?: Book[];
}

export interface Book {
  id: string;
  title: string;
  pages: number;
  author?: Author | null;
  tags?: Tag[];
  reviews: Promise<Review[]>;
}

export interface Tag {
  id: string;
}

export interface Review {
  id: string;
  text: string;
  book: Promise<Book>;
}

/** A node of a tree: in a closure table (`Category`) or by path (`Folder`). */
export interface TreeNode {
  id: string;
  name: string;
  parent?: TreeNode | null;
  children?: TreeNode[];
}

/** Entities with everything that TypeORM has: relations, lazy ones too, trees, soft deletion. */
export function libraryEntities(typeorm: Typeorm): typeorm1.EntitySchema<any>[] {
  const { EntitySchema } = typeorm;
  const id = { type: 'varchar', length: 32, primary: true } as const;
  const text = { type: 'varchar', length: 64 } as const;
  const tree = (name: string, type: 'closure-table' | 'materialized-path'): typeorm1.EntitySchema<TreeNode> =>
    new EntitySchema<TreeNode>({
      name,
      tableName: name.toLowerCase(),
      trees: [{ type }],
      columns: { id, name: text },
      relations: {
        parent: { type: 'many-to-one', target: name, treeParent: true, nullable: true, inverseSide: 'children' },
        children: { type: 'one-to-many', target: name, treeChildren: true, cascade: true, inverseSide: 'parent' },
      },
    });
  return [
    new EntitySchema<Author>({
      name: 'Author',
      tableName: 'author',
      columns: { id, name: text, deletedAt: { type: 'datetime', deleteDate: true, nullable: true } },
      relations: { books: { type: 'one-to-many', target: 'Book', inverseSide: 'author', cascade: true } },
    }),
    new EntitySchema<Book>({
      name: 'Book',
      tableName: 'book',
      columns: { id, title: text, pages: { type: 'int', default: 0 } },
      relations: {
        author: { type: 'many-to-one', target: 'Author', inverseSide: 'books', joinColumn: true, nullable: true },
        tags: { type: 'many-to-many', target: 'Tag', joinTable: { name: 'book_tag' }, cascade: true },
        reviews: { type: 'one-to-many', target: 'Review', inverseSide: 'book', lazy: true },
      },
    }),
    new EntitySchema<Tag>({ name: 'Tag', tableName: 'tag', columns: { id } }),
    new EntitySchema<Review>({
      name: 'Review',
      tableName: 'review',
      columns: { id, text },
      relations: { book: { type: 'many-to-one', target: 'Book', inverseSide: 'reviews', lazy: true, joinColumn: true } },
    }),
    tree('Category', 'closure-table'),
    tree('Folder', 'materialized-path'),
  ];
}

const TABLES = ['book_tag', 'review', 'book', 'author', 'tag', 'category_closure', 'category', 'folder'];

/** The library with one author of two books, and the roots of both trees. */
export async function resetLibrary(admin: Connection): Promise<void> {
  await admin.query(
    `SET FOREIGN_KEY_CHECKS = 0; ${TABLES.map((table) => `DELETE FROM ${table}`).join('; ')}; SET FOREIGN_KEY_CHECKS = 1;
     INSERT INTO author (id, name) VALUES ('le guin', 'Ursula');
     INSERT INTO book (id, title, pages, authorId) VALUES ('left hand', 'The Left Hand', 300, 'le guin'), ('lathe', 'The Lathe', 180, 'le guin');
     INSERT INTO tag (id) VALUES ('novel'); INSERT INTO book_tag (bookId, tagId) VALUES ('lathe', 'novel');
     INSERT INTO review (id, text, bookId) VALUES ('first', 'A review', 'lathe');
     INSERT INTO category (id, name) VALUES ('root', 'All'); INSERT INTO category_closure (id_ancestor, id_descendant) VALUES ('root', 'root');
     INSERT INTO folder (id, name, mpath) VALUES ('root', 'All', 'root.')`,
  );
}

/** What is committed in the library, but for the moments of deletion. */
export async function contentsOf(admin: Connection): Promise<Record<string, unknown[]>> {
  const contents: Record<string, unknown[]> = {};
  for (const table of TABLES) {
    const [rows] = await admin.query<RowDataPacket[]>(`SELECT * FROM ${table}`);
    contents[table] = rows
      .map((row) => ({ ...row, ...('deletedAt' in row && { deletedAt: row['deletedAt'] !== null }) }))
      .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  return contents;
}

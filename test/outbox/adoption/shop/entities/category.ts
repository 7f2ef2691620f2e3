import { Column, Entity, PrimaryGeneratedColumn, type Relation, Tree, TreeChildren, TreeParent } from 'typeorm';

@Entity()
@Tree('closure-table')
export class Category {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column()
  name!: string;

  @TreeParent()
  parent!: Relation<Category> | null;

  @TreeChildren()
  children!: Relation<Category[]>;
}

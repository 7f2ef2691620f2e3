import { Column, DeleteDateColumn, Entity, ManyToOne, OneToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Category } from './category.ts';
import { Stock } from './stock.ts';

@Entity()
export class Product {
  @PrimaryColumn({ length: 40 })
  sku!: string;

  @Column()
  title!: string;

  @Column()
  priceCents!: number;

  @ManyToOne(() => Category, { nullable: false })
  category!: Relation<Category>;

  @OneToOne(
    () => Stock,
    (stock) => stock.product,
    { cascade: ['insert'] },
  )
  stock!: Relation<Stock>;

  @DeleteDateColumn()
  withdrawnAt!: Date | null;
}

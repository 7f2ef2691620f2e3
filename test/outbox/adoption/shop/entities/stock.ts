import { Column, Entity, JoinColumn, OneToOne, PrimaryColumn, type Relation, VersionColumn } from 'typeorm';
import { Product } from './product.ts';

@Entity()
export class Stock {
  @PrimaryColumn({ length: 40 })
  sku!: string;

  @Column({ default: 0 })
  onHand!: number;

  @VersionColumn()
  version!: number;

  @OneToOne(
    () => Product,
    (product) => product.stock,
  )
  @JoinColumn({ name: 'sku' })
  product!: Relation<Product>;
}

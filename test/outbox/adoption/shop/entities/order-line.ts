import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Order } from './order.ts';
import { Product } from './product.ts';

@Entity()
export class OrderLine {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column()
  quantity!: number;

  @Column()
  cents!: number;

  @ManyToOne(() => Product, { nullable: false, eager: true })
  product!: Relation<Product>;

  @ManyToOne(
    () => Order,
    (order) => order.lines,
    { nullable: false, onDelete: 'CASCADE' },
  )
  order!: Relation<Order>;
}

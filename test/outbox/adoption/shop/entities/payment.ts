import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Order } from './order.ts';

@Entity()
export class Payment {
  @PrimaryGeneratedColumn()
  id!: number;

  /** Negative for what was paid back. */
  @Column()
  cents!: number;

  @ManyToOne(
    () => Order,
    (order) => order.payments,
    { nullable: false },
  )
  order!: Relation<Order>;
}

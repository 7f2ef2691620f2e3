import { Column, Entity, JoinColumn, OneToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Order } from './order.ts';

@Entity()
export class Shipment {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column()
  city!: string;

  @OneToOne(
    () => Order,
    (order) => order.shipment,
    { nullable: false },
  )
  @JoinColumn()
  order!: Relation<Order>;
}

import { Column, Entity, ManyToOne, OneToMany, OneToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Coupon } from './coupon.ts';
import { Customer } from './customer.ts';
import { OrderLine } from './order-line.ts';
import { Payment } from './payment.ts';
import { Shipment } from './shipment.ts';

@Entity()
export class Order {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column({ length: 20, default: 'placed' })
  state!: 'placed' | 'cancelled';

  @Column()
  totalCents!: number;

  @Column({ default: 0 })
  paidCents!: number;

  @ManyToOne(() => Customer, { nullable: false, eager: true })
  customer!: Relation<Customer>;

  @ManyToOne(() => Coupon)
  coupon!: Relation<Coupon> | null;

  @OneToMany(
    () => OrderLine,
    (line) => line.order,
    { cascade: true },
  )
  lines!: Relation<OrderLine[]>;

  @OneToMany(
    () => Payment,
    (payment) => payment.order,
  )
  payments!: Relation<Payment[]>;

  @OneToOne(
    () => Shipment,
    (shipment) => shipment.order,
  )
  shipment!: Relation<Shipment> | null;
}

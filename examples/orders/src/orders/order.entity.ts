import { Column, Entity, PrimaryColumn } from 'typeorm';

/** One order of a customer, and which version of the customer it made. */
@Entity('orders')
export class Order {
  @PrimaryColumn({ type: 'varchar', length: 36 })
  id!: string;

  @Column({ type: 'varchar', length: 64 })
  customerId!: string;

  @Column({ type: 'int' })
  customerVersion!: number;

  @Column({ type: 'varchar', length: 20 })
  amount!: string;
}

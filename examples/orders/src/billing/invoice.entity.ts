import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/**
 * The effect of one event. `seq` tells in which order effects were committed per customer; nothing here is unique but
 * `seq`, so an effect applied twice would stand twice, for the audit to see.
 */
@Entity('invoices')
export class Invoice {
  @PrimaryGeneratedColumn()
  seq!: number;

  @Column({ type: 'varchar', length: 36 })
  orderId!: string;

  @Column({ type: 'varchar', length: 64 })
  customerId!: string;

  @Column({ type: 'int' })
  customerVersion!: number;

  @Column({ type: 'varchar', length: 20 })
  amount!: string;
}

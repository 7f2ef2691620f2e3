import { Column, Entity, PrimaryColumn } from 'typeorm';

/** The aggregate: every order of a customer raises its version, and updating this row is what orders its events. */
@Entity('customers')
export class Customer {
  @PrimaryColumn({ type: 'varchar', length: 64 })
  id!: string;

  @Column({ type: 'int', default: 0 })
  version!: number;
}

import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Customer } from './customer.ts';

@Entity()
export class Address {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column()
  city!: string;

  @ManyToOne(
    () => Customer,
    (customer) => customer.addresses,
    { nullable: false, onDelete: 'CASCADE' },
  )
  customer!: Relation<Customer>;
}

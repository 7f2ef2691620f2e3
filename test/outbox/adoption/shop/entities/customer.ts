import { Column, Entity, OneToMany, PrimaryGeneratedColumn, type Relation } from 'typeorm';
import { Address } from './address.ts';

@Entity()
export class Customer {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column({ length: 100, unique: true })
  email!: string;

  @Column()
  name!: string;

  @OneToMany(
    () => Address,
    (address) => address.customer,
    { cascade: true },
  )
  addresses!: Relation<Address[]>;
}

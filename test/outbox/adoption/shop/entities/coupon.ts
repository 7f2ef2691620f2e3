import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity()
export class Coupon {
  @PrimaryColumn({ length: 20 })
  code!: string;

  @Column()
  discountCents!: number;

  @Column()
  usesLeft!: number;
}

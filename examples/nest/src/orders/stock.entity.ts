import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What is left of an article; the row that orders of the article lock, which puts their events in order. */
@Entity('stock')
export class Stock {
  @PrimaryColumn({ type: 'varchar', length: 64 })
  sku!: string;

  @Column({ type: 'int' })
  onHand!: number;
}

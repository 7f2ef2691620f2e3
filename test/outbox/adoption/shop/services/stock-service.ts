import { Publishes, Transactional } from '@txbox/outbox';
import type { DataSource, EntityManager } from 'typeorm';
import { Stock } from '../entities/stock.ts';
import { StockLow, StockReceived } from '../events.ts';

export class StockService {
  constructor(private readonly dataSource: DataSource) {}

  @Transactional()
  @Publishes(StockReceived, ({ sku, onHand }: Stock) => ({ sku, onHand }))
  async receive(sku: string, quantity: number): Promise<Stock> {
    const queryRunner = this.dataSource.createQueryRunner();
    await queryRunner.connect();
    await queryRunner.startTransaction();
    try {
      await queryRunner.manager.increment(Stock, { sku }, 'onHand', quantity);
      const stock = await queryRunner.manager.findOneOrFail(Stock, { where: { sku } });
      if (stock.onHand > 1000) throw new Error(`there is no room for ${sku}`);
      await queryRunner.commitTransaction();
      return stock;
    } catch (error) {
      await queryRunner.rollbackTransaction();
      throw error;
    } finally {
      await queryRunner.release();
    }
  }

  @Publishes(StockLow, ({ sku, onHand }: Stock) => (onHand < 5 ? { sku, onHand } : undefined))
  async take(sku: string, quantity: number, manager: EntityManager): Promise<Stock> {
    const stock = await manager.findOneOrFail(Stock, { where: { sku }, lock: { mode: 'pessimistic_write' } });
    stock.onHand -= quantity;
    if (stock.onHand < 0) throw new Error(`${sku} is sold out`);
    return await manager.save(stock);
  }
}

import { Publishes, Transactional } from '@txbox/outbox';
import type { DataSource } from 'typeorm';
import { Customer } from '../entities/customer.ts';
import { Order } from '../entities/order.ts';
import { OrderLine } from '../entities/order-line.ts';
import { Product } from '../entities/product.ts';
import { OrderCancelled, OrderPlaced } from '../events.ts';
import type { CouponRepository } from './coupon-repository.ts';
import type { PaymentService } from './payment-service.ts';
import type { StockService } from './stock-service.ts';

export class OrderService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly stock: StockService,
    private readonly payments: PaymentService,
    private readonly coupons: CouponRepository,
  ) {}

  @Transactional()
  @Publishes(OrderPlaced, ({ id, customer, totalCents }: Order) => ({ orderId: id, customerId: customer.id, totalCents }))
  async place(customerId: number, items: Record<string, number>, couponCode?: string): Promise<Order> {
    return await this.dataSource.transaction(async (manager) => {
      const customer = await manager.findOneByOrFail(Customer, { id: customerId });
      const lines: OrderLine[] = [];
      for (const [sku, quantity] of Object.entries(items)) {
        const product = await manager.findOneByOrFail(Product, { sku });
        await this.stock.take(sku, quantity, manager);
        lines.push(manager.create(OrderLine, { product, quantity, cents: product.priceCents * quantity }));
      }
      const coupon = couponCode === undefined ? null : await manager.withRepository(this.coupons).redeem(couponCode);
      const sum = lines.reduce((cents, line) => cents + line.cents, 0);
      const totalCents = Math.max(0, sum - (coupon?.discountCents ?? 0));
      const order = await manager.save(manager.create(Order, { customer, coupon, lines, totalCents }));
      await this.payments.charge(order, manager);
      return order;
    });
  }

  @Transactional()
  @Publishes(OrderCancelled, (order: Order) => ({ orderId: order.id }))
  async cancel(id: number): Promise<Order> {
    return await this.dataSource.transaction(async (manager) => {
      const order = await manager.findOneOrFail(Order, { where: { id }, relations: { lines: true, shipment: true } });
      if (order.shipment) throw new Error(`order ${id} was sent already`);
      for (const line of order.lines) await this.stock.take(line.product.sku, -line.quantity, manager);
      await this.payments.payBack(order, manager);
      await manager.update(Order, { id }, { state: 'cancelled' });
      return await manager.findOneByOrFail(Order, { id });
    });
  }

  async revenueByCategory(): Promise<{ category: string; cents: string }[]> {
    return await this.dataSource
      .getRepository(OrderLine)
      .createQueryBuilder('line')
      .innerJoin('line.order', 'order', 'order.state = :state', { state: 'placed' })
      .innerJoin('line.product', 'product')
      .innerJoin('product.category', 'category')
      .select(['category.name AS category', 'SUM(line.cents) AS cents'])
      .groupBy('category.id')
      .orderBy('category.name')
      .getRawMany();
  }
}

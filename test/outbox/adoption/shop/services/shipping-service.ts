import { PublishesEach, Transactional } from '@txbox/outbox';
import type { Repository } from 'typeorm';
import type { Order } from '../entities/order.ts';
import type { Shipment } from '../entities/shipment.ts';
import { ParcelSent } from '../events.ts';

export class ShippingService {
  constructor(
    private readonly orders: Repository<Order>,
    private readonly shipments: Repository<Shipment>,
  ) {}

  @Transactional()
  @PublishesEach(ParcelSent, (sent: Shipment[]) => sent.map(({ order, city }) => ({ orderId: order.id, city })))
  async sendAll(): Promise<Shipment[]> {
    const waiting = await this.orders
      .createQueryBuilder('order')
      .leftJoin('order.shipment', 'shipment')
      .innerJoinAndSelect('order.customer', 'customer')
      .leftJoinAndSelect('customer.addresses', 'address')
      .where('shipment.id IS NULL AND order.state = :state AND order.paidCents >= order.totalCents', { state: 'placed' })
      .orderBy({ 'order.id': 'ASC', 'address.id': 'ASC' })
      .getMany();
    const sent: Shipment[] = [];
    for (const order of waiting) {
      const [address] = order.customer.addresses;
      if (!address) throw new Error(`${order.customer.name} has no address`);
      sent.push(await this.shipments.save(this.shipments.create({ order, city: address.city })));
    }
    return sent;
  }
}

import { createOutbox } from '@txbox/outbox/typeorm';
import { DataSource } from 'typeorm';
import { Address } from './entities/address.ts';
import { Category } from './entities/category.ts';
import { Coupon } from './entities/coupon.ts';
import { Customer } from './entities/customer.ts';
import { Order } from './entities/order.ts';
import { OrderLine } from './entities/order-line.ts';
import { Payment } from './entities/payment.ts';
import { Product } from './entities/product.ts';
import { Shipment } from './entities/shipment.ts';
import { Stock } from './entities/stock.ts';
import { PaymentSubscriber } from './payment-subscriber.ts';

export const dataSource = new DataSource({
  type: 'mysql',
  url: process.env['SHOP_DATABASE_URL'],
  entities: [Address, Category, Coupon, Customer, Order, OrderLine, Payment, Product, Shipment, Stock],
  subscribers: [PaymentSubscriber],
  synchronize: true,
});
export const outbox = createOutbox({ dataSource });

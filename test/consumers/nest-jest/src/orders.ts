// A service on NestJS, as its authors write it: a controller, a service on an injected repository, the outbox as a plain provider.
import { Body, ConflictException, Controller, Injectable, Module, type OnApplicationShutdown, Post } from '@nestjs/common';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { defineEvent } from '@txbox/core';
import { Publishes, Transactional } from '@txbox/outbox';
import { createOutbox, TypeormOutbox } from '@txbox/outbox/typeorm';
import { Column, DataSource, Entity, PrimaryColumn, Repository } from 'typeorm';

@Entity('orders')
export class Order {
  @PrimaryColumn()
  id: string;

  @Column()
  amount: string;
}

export const OrderPlaced = defineEvent('order.placed', { topic: 'orders', key: (order: { id: string; amount: string }) => order.id });

@Injectable()
export class OrdersService {
  constructor(@InjectRepository(Order) private readonly orders: Repository<Order>) {}

  @Transactional()
  @Publishes(OrderPlaced, ({ id, amount }: Order) => ({ id, amount }))
  async place(order: Order): Promise<Order> {
    const saved = await this.orders.save(order);
    if (order.amount === '0.00') throw new ConflictException('nothing to pay');
    return saved;
  }
}

@Controller('orders')
export class OrdersController {
  constructor(private readonly service: OrdersService) {}

  @Post()
  async place(@Body() order: Order): Promise<Order> {
    return await this.service.place(order);
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'better-sqlite3', database: ':memory:', entities: [Order], synchronize: true }),
    TypeOrmModule.forFeature([Order]),
  ],
  controllers: [OrdersController],
  providers: [
    OrdersService,
    { provide: TypeormOutbox, inject: [DataSource], useFactory: (dataSource: DataSource) => createOutbox({ dataSource }) },
  ],
})
export class AppModule implements OnApplicationShutdown {
  constructor(private readonly outbox: TypeormOutbox) {}

  async onApplicationShutdown(): Promise<void> {
    await this.outbox.close();
  }
}

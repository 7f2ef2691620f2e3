import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Order } from './order.entity.ts';
import { OrdersController } from './orders.controller.ts';
import { OrdersService } from './orders.service.ts';
import { Stock } from './stock.entity.ts';

@Module({
  imports: [TypeOrmModule.forFeature([Order, Stock])],
  controllers: [OrdersController],
  providers: [OrdersService],
})
export class OrdersModule {}

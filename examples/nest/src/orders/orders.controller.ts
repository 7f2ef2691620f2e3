import { Body, Controller, Post } from '@nestjs/common';
import type { Order } from './order.entity.ts';
import { OrdersService } from './orders.service.ts';
import { type PlaceOrder, placeOrder } from './place-order.ts';

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Post()
  async place(@Body({ schema: placeOrder }) request: PlaceOrder): Promise<Order> {
    return await this.orders.place(request);
  }

  @Post('batch')
  async placeAll(@Body({ schema: placeOrder.array() }) requests: PlaceOrder[]): Promise<Order[]> {
    return await this.orders.placeAll(requests);
  }
}

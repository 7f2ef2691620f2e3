import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { OrdersModule } from './orders/orders.module.ts';
import { OutboxModule } from './outbox.module.ts';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({
        type: 'mysql',
        url: process.env['DATABASE_URL'] ?? 'mysql://root@127.0.0.1/orders',
        autoLoadEntities: true,
        synchronize: true,
      }),
    }),
    OutboxModule,
    OrdersModule,
  ],
})
export class AppModule {}

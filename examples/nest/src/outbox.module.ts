import { Global, Module, type OnApplicationShutdown } from '@nestjs/common';
import { createOutbox, TypeormOutbox } from '@txbox/outbox/typeorm';
import { DataSource } from 'typeorm';

/** The outbox of the application's DataSource, as a plain provider. */
@Global()
@Module({
  providers: [{ provide: TypeormOutbox, inject: [DataSource], useFactory: (ds: DataSource) => createOutbox({ dataSource: ds }) }],
  exports: [TypeormOutbox],
})
export class OutboxModule implements OnApplicationShutdown {
  constructor(private readonly outbox: TypeormOutbox) {}

  async onApplicationShutdown(): Promise<void> {
    await this.outbox.close();
  }
}

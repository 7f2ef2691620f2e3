import 'reflect-metadata';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClsPluginTransactional,
  Propagation as ClsPropagation,
  Transactional as ClsTransactional,
  TransactionHost,
} from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import type { CurrentManager } from '@txbox/core/typeorm';
import { ClsModule } from 'nestjs-cls';
import type { DataSource } from 'typeorm';
import {
  addTransactionalDataSource,
  deleteDataSourceByName,
  initializeTransactionalContext,
  runInTransaction,
  StorageDriver,
  Propagation as TypeormPropagation,
  Transactional as TypeormTransactional,
} from 'typeorm-transactional';

type FrameworkPropagation = 'required' | 'requires-new' | 'nested' | 'not-supported';

/** A framework with an ambient transaction, on one DataSource. */
export interface AmbientFramework {
  readonly currentManager: CurrentManager;
  transaction<T>(fn: () => Promise<T>, propagation?: FrameworkPropagation): Promise<T>;
  close(): Promise<void>;
}

/** How a framework is used: its decorator, and how it gets to know a DataSource. */
export interface AmbientKind {
  readonly name: string;
  readonly Transactional: () => MethodDecorator;
  /** Whether its nested transactions are savepoints. */
  readonly savepoints: boolean;
  start(dataSource: DataSource): Promise<AmbientFramework>;
}

export const typeormTransactional: AmbientKind = {
  name: 'typeorm-transactional',
  Transactional: () => TypeormTransactional(),
  // Another transaction on another connection.
  savepoints: false,
  start: async (dataSource) => {
    initializeTransactionalContext({ storageDriver: StorageDriver.ASYNC_LOCAL_STORAGE });
    addTransactionalDataSource(dataSource);
    const propagations = {
      required: TypeormPropagation.REQUIRED,
      'requires-new': TypeormPropagation.REQUIRES_NEW,
      nested: TypeormPropagation.NESTED,
      'not-supported': TypeormPropagation.NOT_SUPPORTED,
    };
    return {
      // It gives another manager inside.
      currentManager: () => dataSource.manager,
      transaction: (fn, propagation = 'required') => runInTransaction(fn, { propagation: propagations[propagation] }),
      close: async () => void deleteDataSourceByName('default'),
    };
  },
};

export const nestjsCls: AmbientKind = {
  name: '@nestjs-cls/transactional',
  Transactional: () => ClsTransactional(),
  savepoints: true,
  start: async (dataSource) => {
    class Root {}
    const token = 'DATA_SOURCE';
    const database: DynamicModule = { module: class {}, providers: [{ provide: token, useValue: dataSource }], exports: [token] };
    const adapter = new TransactionalAdapterTypeOrm({ dataSourceToken: token });
    const cls = ClsModule.forRoot({ plugins: [new ClsPluginTransactional({ imports: [database], adapter })] });
    const app = await NestFactory.createApplicationContext({ module: Root, imports: [cls] }, { logger: false });
    const host = app.get(TransactionHost<TransactionalAdapterTypeOrm>);
    const propagations = {
      required: ClsPropagation.Required,
      'requires-new': ClsPropagation.RequiresNew,
      nested: ClsPropagation.Nested,
      'not-supported': ClsPropagation.NotSupported,
    };
    return {
      currentManager: () => host.tx,
      transaction: (fn, propagation = 'required') => host.withTransaction(propagations[propagation], fn),
      close: () => app.close(),
    };
  },
};

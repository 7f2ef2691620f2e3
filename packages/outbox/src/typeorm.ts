export {
  createOutbox,
  type TypeormHandle,
  TypeormOutbox,
  type TypeormOutboxOptions,
  type TypeormTransaction,
} from './flavours/typeorm.ts';

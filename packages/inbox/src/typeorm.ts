export { createInbox, type TypeormHandlerContext, type TypeormInboxOptions } from './flavours/typeorm.ts';

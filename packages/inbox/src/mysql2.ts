export { createInbox, type Mysql2HandlerContext, type Mysql2InboxOptions } from './flavours/mysql2.ts';

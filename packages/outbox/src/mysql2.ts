export { createOutbox, type Mysql2Handle, Mysql2Outbox, type Mysql2OutboxOptions, type Mysql2Transaction } from './flavours/mysql2.ts';

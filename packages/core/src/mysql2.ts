export { type Mysql2Pool, type PoolResource, poolResource, sessionOfConnection } from './transaction/units/mysql2.ts';

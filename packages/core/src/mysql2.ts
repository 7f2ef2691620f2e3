export { type Mysql2Pool, type PoolResource, poolResource } from './transaction/units/mysql2.ts';

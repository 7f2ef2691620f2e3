export {
  type Mysql2Pool,
  type PoolResource,
  type PoolUnitSettings,
  poolResource,
  sessionOfConnection,
} from './transaction/units/mysql2.ts';
export type { PlainQueries } from './transaction/units/mysql2-joining.ts';

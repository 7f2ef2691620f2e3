export { sessionOfRunner, type TypeormResource, type TypeormUnitSettings, typeormResource } from './transaction/units/typeorm.ts';
export { type CurrentManager, dataSourceOf } from './transaction/units/typeorm-ambient.ts';
export type { PlainRepositories } from './transaction/units/typeorm-joining.ts';

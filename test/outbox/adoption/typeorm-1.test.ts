import { shopSuite } from './shop-suite.ts';

shopSuite('typeorm');

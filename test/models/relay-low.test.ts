import { modelSuite } from './model-suite.ts';

modelSuite('relay-low');

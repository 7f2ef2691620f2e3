import { modelSuite } from './model-suite.ts';

modelSuite('inbox-setaside');

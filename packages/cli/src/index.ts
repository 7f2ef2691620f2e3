export { defineConfig, type PublisherData, type TxboxConfig } from './config.ts';

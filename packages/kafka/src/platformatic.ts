export { type PlatformaticPublisherOptions, platformatic } from './publishers/platformatic.ts';

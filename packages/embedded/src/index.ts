export { type EmbeddedAdmin, type EmbeddedAdminOptions, embeddedAdmin } from './admin.ts';
export { type EmbeddedOptions, embedded } from './publisher.ts';
export { type EmbeddedSourceOptions, embeddedSource } from './source.ts';
